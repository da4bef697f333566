"""The results of searches, as lines of a JSON file that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.files import append_text, end_last_line, jsonl_line, read_jsonl

CHECKPOINTS = (
    *(100, 125, 150, 200, 250, 300, 400, 500, 600, 750, 1000, 1250, 1500, 2000, 2500),
    *(3000, 4000, 5000, 6000, 8000, 10_000),
)
"""Numbers of judge calls after which the recommended candidate's truth is measured."""


BLOCK = 4
"""Questions that a candidate answers at a time: what a search chooses with a judge that costs money."""


@dataclass(frozen=True, order=True)
class Problem:
    """What is searched, and how.

    Attributes:
        mode: Which tensors share a weight, as `--optimize-mode`.
        noise: Standard deviation of the noise of a rating, in points.
        sampler: The sampler, as `--optuna-sampler`.
        seed: Seed of the search, of its questions and of the noise.
        questions: Number of questions of the search.
        fresh: Number of questions of the truth.
        block: Questions that a candidate answers at a time, where the sampler asks blocks; 0 if the search
            chooses.
    """

    mode: str
    noise: float
    sampler: str
    seed: int
    questions: int = 120
    fresh: int = 240
    block: int = BLOCK

    @property
    def method(self) -> str:
        """The sampler, with its block where that is another than usual."""
        if self.block == BLOCK:
            return self.sampler
        return f"{self.sampler}/{self.block or 'chosen'}"

    def __str__(self) -> str:
        return f"{self.method}, {self.mode}, noise {self.noise:g}, seed {self.seed}"


@dataclass(frozen=True)
class Step:
    """A candidate that a search recommends from some number of judge calls on.

    Attributes:
        calls: The number of calls.
        trial: The number of its trial.
        weights: Its weights.
        truth: Its mean rating on fresh questions, without noise; None if another one is recommended at the
            next checkpoint already.
        seconds: The processor time of the search so far; None in files of older versions.
    """

    calls: int
    trial: int
    weights: Sequence[float]
    truth: float | None
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """A search that has ended.

    Attributes:
        problem: What was searched.
        budget: The number of calls at which it was to end.
        calls: The number of calls that it made.
        trials: The number of its candidates.
        steps: What it recommended, in order of calls.
        seconds: The time that its parts took.
    """

    problem: Problem
    budget: int
    calls: int
    trials: int
    steps: Sequence[Step]
    seconds: dict[str, float]

    def truths(self) -> dict[int, float]:
        """Return by checkpoint the truth of what is recommended there, from the first recommendation on."""
        return {
            calls: step.truth
            for calls, step in recommended(self.steps, self.calls).items()
            if step.truth is not None
        }


def recommended(steps: Sequence[Step], calls: int) -> dict[int, Step]:
    """Return by checkpoint what is recommended there.

    Args:
        steps: What is recommended from when on, in order of calls.
        calls: The number of calls of the whole search, which has no later checkpoints.
    """
    found = {}
    for checkpoint in CHECKPOINTS:
        reached = [step for step in steps if step.calls <= checkpoint <= calls]
        if reached:
            found[checkpoint] = reached[-1]
    return found


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file, without a last line that was cut off; none if there is no file.

    Raises:
        AssetError: The file is not one of rows.
    """
    if not path.is_file():
        return []
    end_last_line(path)
    return [_row(row) for _, row in read_jsonl(path)]


def append_row(path: Path, row: Row) -> None:
    """Append a row to a file."""
    append_text(path, jsonl_line(asdict(row)))


def longest(rows: Sequence[Row]) -> dict[Problem, Row]:
    """Return the row with the most calls of each problem, since shorter searches are its beginnings."""
    found: dict[Problem, Row] = {}
    for row in rows:
        if row.problem not in found or found[row.problem].budget < row.budget:
            found[row.problem] = row
    return found


def _row(row: dict[str, Any]) -> Row:
    steps = tuple(Step(**step) for step in row["steps"])
    return Row(**{**row, "problem": Problem(**row["problem"]), "steps": steps})
