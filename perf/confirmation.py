"""Measures how often the confidence interval that a run reports contains the true gain.

    python -m perf.confirmation [--study URL] [--sampler TPE] [--n-trials N] [--questions 2000] [--seeds 40]
        [--held-out 120]

A search of the demo (run first, unless --study is the database of one) gives its three best trials, the two
baselines and the best uniform weight. All of them answer fresh questions, which the rules rate; the
differences over all questions are the true gains. Then each seed holds out some of the questions, and
tvmerge's confirmation chooses a winner on one half and reports its gains on the other.

It prints for each baseline how often the 95% interval contains the winner's true gain, its mean width, and
how often it is above 0. Target: at least 90% of the seeds, for every baseline.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from examples.demo.generate import fresh_questions
from perf.pipeline import make_pool
from tvmerge._util.assets import bundled_demo_models
from tvmerge._util.trace import Trace
from tvmerge.cli.app import run
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.merging.open import open_merge
from tvmerge.records import Difference, Evaluation, Question, Recipe, Sampling, Trial
from tvmerge.run.holdout import Confirmation, ConfirmationResult
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective, Part
from tvmerge.scoring.split import split
from tvmerge.study.finalists import Candidate, choose_baselines, choose_finalists
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.space import Space
from tvmerge.study.storage import read_study

FINALISTS = 3
QUESTION_SEED = 40_000

Weights = tuple[float, ...]
"""The weights of a recipe, as the key of its evaluation."""


@dataclass(frozen=True)
class Gain:
    """A reported gain and the true gain."""

    baseline: str
    reported: Difference
    truth: float

    @property
    def covered(self) -> bool:
        """Whether the interval contains the true gain."""
        return self.reported.low <= self.truth <= self.reported.high


class Rated:
    """Candidates that have answered all questions.

    Args:
        questions: The questions.
        evaluations: By weights, the answers and ratings.
    """

    def __init__(self, questions: Sequence[Question], evaluations: Mapping[Weights, Evaluation]) -> None:
        self.questions = questions
        self.objective = Objective((Part("fresh", frozenset(q.question_id for q in questions)),))
        self._evaluations = evaluations

    async def evaluate(self, recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        """Return the evaluation on some of the questions."""
        asked = {question.question_id for question in questions}
        whole = self._evaluations[_weights(recipe)]
        return Evaluation(recipe, tuple(pair for pair in whole.rated if pair[0].question_id in asked))

    async def search(self, recipe: Recipe) -> Evaluation:
        """Return an empty evaluation of the search questions."""
        return Evaluation(recipe)

    def gain(self, winner: Mapping[str, float], baseline: Mapping[str, float]) -> float:
        """Return how much better one candidate is than another, over all questions."""
        one, other = (
            self.objective.estimate(self._evaluations[tuple(weights.values())].judgments)
            for weights in (winner, baseline)
        )
        return one.mean - other.mean


def candidates_of(url: str) -> tuple[Sequence[Trial], Sequence[Candidate]]:
    """Return the finalists of a demo study, and their baselines."""
    trials = read_study(url, "demo").trials
    space = Space(tuple(trials[0].recipe.weights), 0.0, 2.0)
    return choose_finalists(trials, FINALISTS), choose_baselines(space, trials)


async def rated(recipes: Sequence[Recipe], questions: Sequence[Question]) -> Rated:
    """Have all candidates answer all questions."""
    target, base, tuned = (str(bundled_demo_models() / role) for role in ("target", "base", "tuned"))
    pool = make_pool(open_merge(target, base, tuned, "layer"), Trace())
    evaluator = Evaluator(pool, RulesJudge(), Sampling(max_new_tokens=16, default_temperature=0))
    found = {_weights(recipe): await evaluator.evaluate(recipe, questions) for recipe in recipes}
    await pool.close()
    return Rated(questions, found)


async def confirmed(
    known: Rated, finalists: Sequence[Trial], baselines: Sequence[Candidate], held_out: int, seed: int
) -> ConfirmationResult:
    """Return the confirmation on the questions that a seed holds out."""
    _, holdout = split(known.questions, held_out / len(known.questions), seed)
    confirmation = Confirmation(
        known.evaluate,
        known.search,
        known.objective,
        known.questions,
        on_scored=lambda candidate, found: None,
        min_coverage=0.9,
    )
    return await confirmation.run(finalists, baselines, holdout, seed)


def gains(known: Rated, found: ConfirmationResult) -> list[Gain]:
    """Return the gains that a confirmation reports, with the true gains."""
    best, *others = found.contenders
    return [
        Gain(other.key, other.gain, known.gain(best.weights, other.weights))
        for other in others
        if other.gain is not None
    ]


def show(found: Sequence[Gain]) -> bool:
    """Print the results of all seeds; return whether the target is met."""
    covers = []
    for baseline in dict.fromkeys(gain.baseline for gain in found):
        mine = [gain for gain in found if gain.baseline == baseline]
        covers.append(sum(gain.covered for gain in mine) / len(mine))
        width = sum(gain.reported.high - gain.reported.low for gain in mine) / len(mine)
        above = sum(gain.reported.low > 0 for gain in mine)
        print(
            f"{baseline}: {covers[-1]:.1%} of {len(mine)} intervals hold the truth (true gain "
            f"{min(gain.truth for gain in mine):+.2f} to {max(gain.truth for gain in mine):+.2f}); "
            f"mean width {width:.2f}, {above} above 0"
        )
    return min(covers) >= 0.9


def main() -> None:
    """Measure; the exit code is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--study", help="storage URL of a demo study")
    parser.add_argument("--sampler", default="TPE", choices=SAMPLERS.names())
    parser.add_argument("--n-trials", type=int, default=100, help="trials of the demo study")
    parser.add_argument("--questions", type=int, default=2000, help="fresh questions for the true gains")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--held-out", type=int, default=120)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.study is None:
            run(
                [
                    *("demo", f"--run-dir={folder}", f"--optuna-sampler={args.sampler}"),
                    f"--n-trials={args.n_trials}",
                ]
            )
        finalists, baselines = candidates_of(args.study or f"sqlite:///{Path(folder) / 'study.db'}")
    questions = list(fresh_questions(args.questions, QUESTION_SEED))
    known = asyncio.run(rated([*(t.recipe for t in finalists), *(r.recipe for r in baselines)], questions))
    found = [
        gain
        for seed in range(args.seeds)
        for gain in gains(known, asyncio.run(confirmed(known, finalists, baselines, args.held_out, seed)))
    ]
    raise SystemExit(0 if show(found) else 1)


def _weights(recipe: Recipe) -> Weights:
    return tuple(recipe.weights.values())


if __name__ == "__main__":
    main()
