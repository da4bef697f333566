"""The output of `tvmerge judge`: means per model, per turn and per category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge.records import Estimate, Judgment
from tvmerge.report.numbers import MISSING, estimate
from tvmerge.report.terminal.cells import cell

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A model whose answers were rated.

    Attributes:
        model: Its name.
        overall: Mean over all judgments.
        by_turn: Means by turn, from 1.
        by_category: Means by category, in the benchmark's order.
        coverage: Fraction of judgments with a rating.
        cut_in_thought: Fraction of turns that ended while the model was still thinking.
        judgments: The judgments: a `Rating` or an `Unrated` for each turn, in the order of the answers.
    """

    model: str
    overall: Estimate
    by_turn: Mapping[int, Estimate]
    by_category: Mapping[str, Estimate]
    coverage: float
    cut_in_thought: float = 0.0
    judgments: tuple[Judgment, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedAnswers:
    """The ratings of all models' answers.

    Attributes:
        models: The ratings of each model.
        usage: What each judge has used, as plain JSON data.
        agreement: How far judges agree, as plain JSON data; None if no turn was rated twice.
        most_common_reason: The most common reason for a missing rating, and how to fix it; empty if all
            answers were rated.
    """

    models: tuple[JudgedModel, ...]
    usage: tuple[Mapping[str, Any], ...]
    agreement: Mapping[str, Any] | None
    most_common_reason: str

    @property
    def rated(self) -> bool:
        """Whether there is any rating."""
        return any(model.overall.n for model in self.models)

    def __str__(self) -> str:
        from tvmerge.report.terminal.plain import plain_text

        return plain_text(judged_table(self.models))


def judged_table(models: Sequence[JudgedModel]) -> Table:
    """Return a table with a column per model and a row per mean."""
    from rich.table import Table

    table = Table("mean ± SE")
    for model in models:
        table.add_column(cell(model.model))
    rows: dict[str, list[Estimate | None]] = {"all": [model.overall for model in models]}
    for turn in dict.fromkeys(turn for model in models for turn in model.by_turn):
        rows[f"turn {turn}"] = [model.by_turn.get(turn) for model in models]
    for category in dict.fromkeys(name for model in models for name in model.by_category):
        rows[category] = [model.by_category.get(category) for model in models]
    for name, estimates in rows.items():
        table.add_row(cell(name), *map(_shown, estimates))
    table.add_row("coverage", *(f"{model.coverage:.0%}" for model in models))
    if any(model.cut_in_thought for model in models):
        table.add_row("cut in thought", *(f"{model.cut_in_thought:.0%}" for model in models))
    return table


def _shown(found: Estimate | None) -> str:
    return MISSING if found is None or found.n == 0 else f"{estimate(found)} (n={found.n})"
