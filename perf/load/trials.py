"""Gaps between trials of a long search, and its resume."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from perf.load.shared import benchmark, new_folder, optimize, report
from tvmerge.records import Answer, Judgment, Question, Recipe
from tvmerge.testing.scripted import ScriptedEngine, ScriptedJudge


class MarkedEngine(ScriptedEngine):
    """Notes when it is merged."""

    def __init__(self, marks: list[tuple[str, float]]) -> None:
        super().__init__()
        self._marks = marks

    async def apply(self, recipe: Recipe) -> None:
        """Become the merge."""
        self._marks.append(("merge", time.perf_counter()))
        await super().apply(recipe)


class MarkedJudge(ScriptedJudge):
    """Notes when it has rated."""

    def __init__(self, marks: list[tuple[str, float]]) -> None:
        super().__init__()
        self._marks = marks

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate an answer."""
        found = await super().judge(question, answer)
        self._marks.append(("rated", time.perf_counter()))
        return found


def measure_trials(sampler: str, trials: int) -> None:
    """Print the gaps between trials at the start and the end of a long search, and what a resume takes."""
    marks: list[tuple[str, float]] = []
    with new_folder() as folder:
        bench = benchmark(folder / "bench", 8, "long", turns=1)

        def run() -> float:
            begun = time.perf_counter()
            settings = {"trials_in_flight": 1, "n_trials": trials, "optuna_sampler": sampler, "holdout": 0.0}
            optimize(folder, bench, MarkedEngine(marks), judge=MarkedJudge(marks), **settings)
            return time.perf_counter() - begun

        run()
        found = gaps(marks)
        busy = time.process_time()
        resumed = run()
        busy = time.process_time() - busy
    tenth = max(1, len(found) // 10)
    first, last = (1000 * statistics.median(part) for part in (found[:tenth], found[-tenth:]))
    report(
        f"{trials:,} trials, {sampler}: gap", f"{first:.0f} ms at the start, {last:.0f} at the end", "flat"
    )
    report(
        f"{trials:,} trials, {sampler}: resume when finished",
        f"{resumed:.1f} s, {busy:.1f} s of a processor",
        "2 s",
    )


def gaps(marks: Sequence[tuple[str, float]]) -> list[float]:
    """Return the seconds from each last rating before a merge until the merge."""
    found, rated = [], None
    for kind, moment in marks:
        if kind == "rated":
            rated = moment
        elif rated is not None:
            found.append(moment - rated)
            rated = None
    return found
