"""Measures how often a run claims something from a judge whose ratings are chance.

    python -m perf.noise [--studies 200] [--sizes 2,4,10,20,40,120]
    python -m perf.noise --runs 10 [--sampler auto] [--n-trials 8]

Each study has a benchmark of so many questions in two categories (one, if it has fewer than four). tvmerge
holds out its share of them. Twelve candidates, weight 0, weight 1 and two more uniform weights among them,
get ratings from 1 to 10 by a hash of the candidate, the question and the turn. The best three of the search
go through tvmerge's held-out comparison, and its conclusion is what a run would print.

For each number of questions it prints how many studies ended with which verdict. No candidate is better than
another, so "better" is false. Target: at most 5% of the studies of each size.

With --runs, whole runs of the demo take the place of drawn studies: search, final comparison and conclusion,
once with ratings by chance and once with a tuned model that equals the base, so that no weight has any
effect.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import tvmerge
from perf.economy.noise import by_chance
from perf.load.shared import new_folder
from tvmerge._util.canonical import digest
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.records import Answer, Evaluation, Finish, Question, Rating, Recipe, Trial
from tvmerge.report.conclusion import Kind, conclude
from tvmerge.report.result import RunRecord
from tvmerge.run.holdout import Confirmation
from tvmerge.scoring.objective import Objective, Part
from tvmerge.study.finalists import choose_baselines, choose_finalists
from tvmerge.study.space import Space

SIZES = (2, 4, 10, 20, 40, 120)
TARGET = 0.05
TURNS = 2
SPACE = Space(("a", "b"), 0.0, 2.0)
UNIFORM = (0.75, 0.5, 1.0, 0.0)
DRAWN = 8
ENDED: tuple[Finish, ...] = ("stop", "stop")


class ChanceJudge:
    """Candidates whose ratings depend on nothing but a hash.

    Args:
        seed: Part of what is hashed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    async def evaluate(self, recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        """Return a candidate's ratings of these questions."""
        return Evaluation(recipe, tuple(self._rated(recipe, question) for question in questions))

    def _rated(self, recipe: Recipe, question: Question) -> tuple[Answer, tuple[Rating, ...]]:
        key = question.question_id
        ratings = tuple(
            Rating(key, turn, self._score(recipe.weights, key, turn), "chance", "chance")
            for turn in range(1, TURNS + 1)
        )
        return Answer(key, ("",) * TURNS, ENDED), ratings

    def _score(self, weights: Mapping[str, float], key: object, turn: int) -> float:
        return float(1 + int(digest([self._seed, dict(weights), str(key), turn])[:12], 16) % 10)


async def verdict(size: int, seed: int) -> Kind:
    """Return the verdict of a study of `size` questions."""
    kinds = 2 if size >= 4 else 1
    questions = [Question(number, f"kind {number % kinds}", ("?",) * TURNS) for number in range(size)]
    objective = Objective((Part("chance", frozenset(range(size))),))
    search, held = objective.divide(questions, None, seed)
    judge = ChanceJudge(seed)
    recipes = [SPACE.uniform(weight) for weight in UNIFORM]
    recipes += [Recipe({"a": 0.1 + number / 10, "b": 1.3}) for number in range(DRAWN)]
    trials = []
    for number, recipe in enumerate(recipes):
        found = objective.estimate((await judge.evaluate(recipe, search)).judgments)
        trials.append(Trial(number, recipe, found.mean, "COMPLETE", {"n": found.n, "se": found.se}))

    async def searched(recipe: Recipe) -> Evaluation:
        return await judge.evaluate(recipe, search)

    confirmation = Confirmation(
        judge.evaluate,
        searched,
        objective,
        questions,
        on_scored=lambda candidate, estimate: None,
        min_coverage=0.9,
    )
    finalists, baselines = choose_finalists(trials, 3), choose_baselines(SPACE, trials)
    compared = await confirmation.run(finalists, baselines, held, seed)
    return conclude(
        RunRecord(
            study="chance",
            benchmark="chance",
            judge="chance",
            models={},
            weight_range=(SPACE.low, SPACE.high),
            contenders=compared.contenders,
            trials=tuple(trials),
            finalists=compared.finalists,
        )
    ).kind


def verdicts(size: int, studies: int) -> Counter[Kind]:
    """Return how many studies of `size` questions ended with which verdict."""
    return Counter(asyncio.run(verdict(size, seed)) for seed in range(studies))


def verdict_of_run(seed: int, *, sampler: str, n_trials: int, effect: bool) -> Kind:
    """Return the verdict of a whole run of the demo in which no candidate is better than another.

    Args:
        seed: Seed of the search, and of the ratings.
        sampler: The sampler.
        n_trials: The number of trials, in questions of as many candidates that answer all.
        effect: Whether weights have an effect, and ratings are by chance; otherwise the tuned model equals
            the base, and the rules rate.
    """
    with new_folder() as folder:
        config = tvmerge.testing.demo_config(
            run_dir=str(folder / "run"),
            optuna_sampler=sampler,
            optuna_seed=seed,
            n_trials=n_trials,
        )
        if effect:
            return conclude(tvmerge.optimize(config, judge=by_chance(RulesJudge(), seed))).kind
        assert config.base_model is not None
        return conclude(tvmerge.optimize(config, tuned_model=config.base_model)).kind


def main() -> None:
    """Measure and print; the exit code is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="studies of each size")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of questions")
    parser.add_argument("--runs", type=int, default=0, help="whole runs of each kind instead of studies")
    parser.add_argument("--sampler", default="auto")
    parser.add_argument("--n-trials", type=int, default=8)
    args = parser.parse_args()
    worst = 0.0
    if args.runs:
        for effect in (True, False):
            found = Counter(
                verdict_of_run(seed, sampler=args.sampler, n_trials=args.n_trials, effect=effect)
                for seed in range(args.runs)
            )
            what = "ratings by chance" if effect else "weights without effect"
            print(f"{what}: {_shares(found)}", flush=True)
            worst = max(worst, found["better"] / args.runs)
        raise SystemExit(0 if worst <= TARGET else 1)
    for size in map(int, args.sizes.split(",")):
        found = verdicts(size, args.studies)
        print(f"{size} questions: {_shares(found)}", flush=True)
        worst = max(worst, found["better"] / args.studies)
    raise SystemExit(0 if worst <= TARGET else 1)


def _shares(found: Counter[Kind]) -> str:
    return ", ".join(f"{kind} {number / found.total():.1%}" for kind, number in sorted(found.items()))


if __name__ == "__main__":
    main()
