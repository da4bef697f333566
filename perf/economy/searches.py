"""Whole searches by the parts of a run, and what they would have recommended when."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from examples.demo.generate import question_row
from perf.economy.noise import noisy
from perf.economy.rows import Problem, Row, Step, recommended
from perf.economy.subject import TRUTH_SEED, Subject
from tvmerge._util.caches import Caches
from tvmerge._util.files import write_jsonl, write_text
from tvmerge._util.trace import ENGINE, Trace
from tvmerge.config import RunConfig
from tvmerge.config.values import settings_for
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.records import Estimate, Recipe, Trial
from tvmerge.report.terminal.progress import Progress
from tvmerge.run.build import Run, build_run
from tvmerge.run.loop import Evaluator
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
from tvmerge.run.search import run_search
from tvmerge.scoring.statistics import estimate
from tvmerge.study.make import asks_blocks
from tvmerge.tasks.build import build_suite

_truths: dict[tuple[object, ...], float] = {}
"""By subject, mode, number of questions and weights, the truths that this process has measured."""


class _SpentError(Exception):
    """The search has made its calls."""


class Recorder(Progress):
    """Records what a search recommends after how many calls, and ends it when they are spent.

    Args:
        budget: Number of calls at which the search ends.

    Attributes:
        calls: Number of judgments of the trials that were told.
        steps: The recommended candidates, in order of calls, each with the number of calls and the seconds of
            processor time before it.
    """

    def __init__(self, budget: int) -> None:
        super().__init__(quiet=True)
        self._budget = budget
        self._judgments: dict[int, int] = {}
        self.calls = 0
        self.steps: list[tuple[int, Trial, float]] = []
        self._begun = time.process_time()

    @property
    def trials(self) -> int:
        """Number of candidates that were told."""
        return len(self._judgments)

    def trial_told(self, trial: Trial, best: Trial | None) -> None:
        """Record the trial's calls and the best of all trials."""
        self._told(trial, best)

    def block_told(self, trial: Trial, done: int, best: Trial | None) -> None:
        """Record the calls of a block of the trial, and the best of all trials."""
        self._told(trial, best)

    def _told(self, trial: Trial, best: Trial | None) -> None:
        judgments = trial.attrs.get("judgments", 0)  # of all its blocks
        self.calls += judgments - self._judgments.get(trial.number, 0)
        self._judgments[trial.number] = judgments
        if best is not None and (not self.steps or self.steps[-1][1].number != best.number):
            self.steps.append((self.calls, best, time.process_time() - self._begun))
        if self.calls >= self._budget:
            raise _SpentError


def searched(problem: Problem, budget: int, subject: Subject) -> Row:
    """Search until `budget` judge calls are made, and measure the truth at the checkpoints."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_searched(problem, budget, subject, Path(name)))


def true_means(
    problem: Problem, subject: Subject, weights: Sequence[float]
) -> dict[float, tuple[float, float]]:
    """Return by uniform weight its mean rating on the fresh questions, and the standard error."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_true_means(problem, subject, weights, Path(name)))


async def _true_means(
    problem: Problem, subject: Subject, weights: Sequence[float], folder: Path
) -> dict[float, tuple[float, float]]:
    with closing(Caches(folder / "cache")) as caches:
        run = open_run(problem, 1, subject, folder, caches)
        try:
            space = run.space
            found = {w: await _estimate(run, problem, subject, space.uniform(w)) for w in weights}
        finally:
            await run.close()
    return {weight: (one.mean, one.se) for weight, one in found.items()}


async def _searched(problem: Problem, budget: int, subject: Subject, folder: Path) -> Row:
    clock = time.perf_counter
    started = clock()
    with closing(Caches(folder / "cache")) as caches:
        run = open_run(problem, budget, subject, folder, caches)
        judge = subject.searched(run.suite.judge)
        if problem.noise:
            judge = noisy(judge, problem.noise, problem.seed)
        run = replace(run, suite=replace(run.suite, rater=judge))
        recorder = Recorder(budget)
        try:
            begun = clock()
            with suppress(_SpentError):
                await run_search(run, recorder)
            ended, engine = clock(), _busy(run.trace)
            steps = await _with_truths(run, problem, subject, recorder)
        finally:
            await run.close()
    parts = {"start": begun - started, "search": ended - begun, "engine": engine, "truth": clock() - ended}
    seconds = {name: round(value, 2) for name, value in parts.items()}
    return Row(problem, budget, recorder.calls, recorder.trials, steps, seconds)


async def _with_truths(run: Run, problem: Problem, subject: Subject, recorder: Recorder) -> list[Step]:
    """Return what was recommended, with the truths of what was so at a checkpoint."""
    steps = [
        Step(calls, trial.number, list(trial.recipe.weights.values()), None, round(seconds, 2))
        for calls, trial, seconds in recorder.steps
    ]
    wanted = {step.calls for step in recommended(steps, recorder.calls).values()}
    return [
        replace(step, truth=await truth(run, problem, subject, trial.recipe))
        if step.calls in wanted
        else step
        for step, (_, trial, _) in zip(steps, recorder.steps, strict=True)
    ]


def _busy(trace: Trace) -> float:
    """Return how many seconds the engine has merged and answered."""
    return sum(span.end - span.start for span in trace.spans if span.track.startswith(ENGINE))


def _config(problem: Problem, budget: int, subject: Subject, folder: Path) -> RunConfig:
    """Return the settings of the subject, with those of a search that are the defaults, and its questions."""
    bench = folder / "questions"
    questions = subject.questions(problem.questions, problem.seed)
    write_jsonl(bench / "question.jsonl", map(question_row, questions))
    write_text(bench / "benchmark.toml", subject.benchmark)
    of_search: dict[str, Any] = {
        "bench_name": str(bench),
        "run_dir": str(folder / "run"),
        "device": "cpu",
        "holdout": 0.0,
        "optimize_mode": problem.mode,
        "optuna_sampler": problem.sampler,
        "sampler": {"block": problem.block} if asks_blocks(problem.sampler) and problem.block else None,
        "optuna_seed": problem.seed,
        "n_trials": budget,  # never reached, as a trial takes at least one call
        "trials_in_flight": RunConfig.trials_in_flight,
    }
    return RunConfig(**settings_for(RunConfig, {**subject.settings, **of_search}))


def open_run(problem: Problem, budget: int, subject: Subject, folder: Path, caches: Caches) -> Run:
    """Open the run of a search; the caller closes it.

    Args:
        problem: What is searched.
        budget: The most judge calls.
        subject: The models and questions.
        folder: Where it writes.
        caches: Its caches.
    """
    config = _config(problem, budget, subject, folder)
    suite = build_suite(config, caches, _silent)
    return build_run(config, outline(config, RunPaths.of(config), suite), caches, _silent)


async def truth(run: Run, problem: Problem, subject: Subject, recipe: Recipe) -> float:
    """Return the mean rating of a candidate on fresh questions, without noise."""
    key = (subject.name, problem.mode, problem.fresh, *recipe.weights.values())
    if key not in _truths:
        _truths[key] = round((await _estimate(run, problem, subject, recipe)).mean, 6)
    return _truths[key]


async def _estimate(run: Run, problem: Problem, subject: Subject, recipe: Recipe) -> Estimate:
    """Return the estimate of a candidate's mean rating on the fresh questions."""
    evaluator = Evaluator(run.pool, subject.true(RulesJudge()), run.sampling)
    found = await evaluator.evaluate(recipe, list(subject.fresh(problem.fresh, TRUTH_SEED)))
    return estimate(found.judgments)


def _silent(text: str) -> None:
    """Show no remark of a run."""
