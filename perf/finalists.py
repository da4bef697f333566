"""Measures what stopping finalists early saves in the held-out comparison, what it loses, and the cover.

    python -m perf.finalists [--studies 300] [--held-out 120]

Each study has three finalists, weight 0, weight 1 and a uniform weight, whose ratings are drawn: a question
is as easy for all (standard deviation 1.2), a turn's rating has noise of its own (1.3), and the result is
rounded and kept within 1 and 10. tvmerge's confirmation chooses the winner and reports its gains, with
finalists that stop when they are clearly behind, and with finalists that answer all questions of the choice.

For each kind of study it prints how often a 95% interval contains the true gain, how often it is wholly above
it (at most 2.5% is claimed), how many of the answers of the choice were asked for, and how far the winner is
from the best finalist.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from tvmerge.records import Answer, Evaluation, Finish, Judgment, Question, Rating, Recipe, Trial
from tvmerge.run.holdout import Confirmation
from tvmerge.scoring.objective import Objective, Part
from tvmerge.study.finalists import Candidate

EASE, NOISE, TURNS = 1.2, 1.3, 2
ENDED: tuple[Finish, ...] = ("stop", "stop")

KINDS: Mapping[str, tuple[tuple[float, ...], float]] = {
    "large gains": ((4.2, 6.5, 7.7, 9.0), 0.1),
    "small gains": ((6.0, 6.9, 7.1, 7.3), 0.3),
    "no gain": ((7.0, 7.0, 7.0, 7.0), 0.0),
}
"""By name, the levels of weights 0, 1, the uniform one and the finalists, and how far finalists are apart."""


@dataclass(frozen=True)
class Measured:
    """What a study showed: by gain whether it is covered and wholly above the truth; answers; loss."""

    covered: tuple[bool, ...]
    above: tuple[bool, ...]
    asked: int
    loss: float


class Drawn:
    """Candidates whose answers have drawn ratings.

    Args:
        levels: By candidate, the level of its ratings.
        questions: The questions.
        seed: Seed of the draws.
    """

    def __init__(self, levels: Sequence[float], questions: Sequence[Question], seed: int) -> None:
        self._levels = levels
        self._ease = {
            q.question_id: random.Random(f"{seed} {q.question_id}").gauss(0, EASE) for q in questions
        }
        self._seed = seed
        self.asked = [0] * len(levels)

    async def evaluate(self, recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        """Return a candidate's ratings of these questions."""
        number = int(recipe.weights["number"])
        self.asked[number] += len(questions)
        return Evaluation(recipe, tuple(self._rated(number, question) for question in questions))

    async def search(self, recipe: Recipe) -> Evaluation:
        """Return an empty evaluation of the search questions."""
        return Evaluation(recipe)

    def _rated(self, number: int, question: Question) -> tuple[Answer, tuple[Judgment, ...]]:
        key = question.question_id
        draw = random.Random(f"{self._seed} {number} {key}")
        scores = [_rating(self._levels[number] + self._ease[key], draw) for _ in range(TURNS)]
        ratings = tuple(Rating(key, turn, score, "drawn", "drawn") for turn, score in enumerate(scores, 1))
        return Answer(key, ("",) * TURNS, ENDED), ratings


def measured(kind: str, held_out: int, seed: int, *, races: bool) -> Measured:
    """Draw a study and confirm it."""
    (*baselines, top), apart = KINDS[kind]
    draw = random.Random(seed)
    levels = [*baselines, *(top + draw.gauss(0, apart) for _ in range(3))]
    truths = [_true_mean(level) for level in levels]
    questions = [Question(number, f"category {number % 4}", ("?",) * TURNS) for number in range(held_out)]
    drawn = Drawn(levels, questions, seed)
    recipes = [Recipe({"number": float(number)}) for number in range(len(levels))]
    known = Candidate("weight_0", recipes[0], None), Candidate("weight_1", recipes[1], None)
    trials = [Trial(number, recipes[number], 9.0, "COMPLETE", {"n": 4}) for number in range(3, 6)]
    confirmation = Confirmation(
        drawn.evaluate,
        drawn.search,
        Objective((Part("drawn", frozenset(q.question_id for q in questions)),)),
        questions,
        on_scored=lambda candidate, found: None,
        min_coverage=0.9,
        races=races,
    )
    uniform = Candidate("uniform", recipes[2], None)
    found = asyncio.run(confirmation.run(trials, (*known, uniform), questions, seed))
    best = truths[int(found.contenders[0].weights["number"])]
    gains = [
        (c.gain, best - truths[int(c.weights["number"])]) for c in found.contenders if c.gain is not None
    ]
    return Measured(
        covered=tuple(gain.low <= truth <= gain.high for gain, truth in gains),
        above=tuple(gain.low > truth for gain, truth in gains),
        asked=sum(drawn.asked[3:]) - max(c.gain.n for c in found.contenders if c.gain is not None),
        loss=max(truths[3:]) - best,
    )


def _rating(level: float, draw: random.Random) -> float:
    return float(min(10, max(1, round(level + draw.gauss(0, NOISE)))))


def _true_mean(level: float) -> float:
    """Return the expected rating: 1, and for each rating above 1 how likely it is reached."""
    unrounded = NormalDist(level, (EASE**2 + NOISE**2) ** 0.5)
    return 1 + sum(1 - unrounded.cdf(rating - 0.5) for rating in range(2, 11))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=300, help="studies of each kind")
    parser.add_argument("--held-out", type=int, default=120, help="held-out questions")
    args = parser.parse_args()
    for kind in KINDS:
        for races in (True, False):
            found = [measured(kind, args.held_out, seed, races=races) for seed in range(args.studies)]
            print(
                f"{kind}, {'stopping early' if races else 'all answers'}: {_line(found, args.held_out)}",
                flush=True,
            )


def _line(found: Sequence[Measured], held_out: int) -> str:
    covered = fmean(covered for study in found for covered in study.covered)
    above = fmean(above for study in found for above in study.above)
    asked = sum(study.asked for study in found) / (len(found) * 3 * (held_out // 2))
    losses = [study.loss for study in found]
    error = stdev(losses) / len(losses) ** 0.5
    return (
        f"{covered:.1%} of the intervals hold the truth, {above:.1%} are above it; {asked:.0%} of the "
        f"answers of the choice; the winner is {fmean(losses):.3f} ± {error:.3f} from the best finalist"
    )


if __name__ == "__main__":
    main()
