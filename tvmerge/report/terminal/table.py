"""The table shown at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.report.conclusion import Kind, conclude, has_holdout, name, same_weights
from tvmerge.report.language import tr
from tvmerge.report.numbers import MISSING, estimate, gain, signed
from tvmerge.report.prospects import prospect_line
from tvmerge.report.quantised import quantised_lines, quantised_rows
from tvmerge.report.result import Contender, ContenderKey, RunRecord
from tvmerge.report.terminal.cells import cell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

ROW_ORDER: tuple[ContenderKey, ...] = ("weight_0", "weight_1", "uniform", "best")

_STYLES: dict[Kind, str] = {
    "better": "bold green",
    "worse": "bold red",
    "unclear": "bold yellow",
    "too_few": "bold",  # no colour, since there is no verdict
    "unmeasured": "bold yellow",
}


def result_table(result: RunRecord) -> RenderableType:
    """Return a table of the contenders' scores and the winner's gain over each, and the conclusion.

    Print it to standard output with a `rich.console.Console`.
    """
    from rich.console import Group
    from rich.text import Text

    found = conclude(result)
    parts: list[RenderableType] = [_table(result), Text(), Text(found.sentence, style=_STYLES[found.kind])]
    if result.quantised:
        parts += [Text(), _quantised_table(result), Text(), *map(Text, quantised_lines(result))]
    return Group(*parts)


def in_row_order(result: RunRecord) -> list[Contender]:
    """Return the contenders in display order: baselines first, the winner last."""
    return sorted(result.contenders, key=lambda contender: ROW_ORDER.index(contender.key))


def lead(result: RunRecord, contender: Contender) -> str:
    """Return the winner's gain over a contender, or that it is the same model.

    Without held-out questions the gain is the difference of the means.
    """
    best = result.contenders[0]
    if contender is best:
        return ""
    if same_weights(best, contender):
        return tr("the same model")
    if has_holdout(result):
        return gain(contender.gain)
    return signed(best.search.mean - contender.search.mean)


def score_rows(result: RunRecord) -> list[dict[str, str]]:
    """Return the table's cells as plain text, for a model card."""
    rows = []
    for contender in in_row_order(result):
        row = {"candidate": _title(contender), "search": estimate(contender.search)}
        if has_holdout(result):
            row["held-out"] = estimate(contender.holdout)
        rows.append(row | {f"the {result.contenders[0].short} gains": lead(result, contender) or MISSING})
    return rows


def _title(contender: Contender) -> str:
    """Return the name of a contender, that of the winner with its trial."""
    number = "" if contender.key != "best" or contender.trial is None else f" (trial {contender.trial})"
    return f"{name(contender)}{number}"


def _table(result: RunRecord) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    held_out = has_holdout(result)
    table = Table(box=SIMPLE_HEAD, title=cell(f"{result.study}: {result.benchmark} rated by {result.judge}"))
    if result.prospects is not None:
        table.caption = cell(prospect_line(result.prospects))
    table.add_column("candidate")
    table.add_column("search ± SE", justify="right", style="dim" if held_out else None)
    if held_out:
        table.add_column("held-out ± SE", justify="right")
    table.add_column("winner gains [95%]" if held_out else "best gains", justify="right")
    for contender in in_row_order(result):
        holdout = [estimate(contender.holdout)] if held_out else []
        cells = [_title(contender), estimate(contender.search), *holdout, lead(result, contender) or MISSING]
        table.add_row(*map(cell, cells), style="bold" if contender.key == "best" else None)
    return table


def _quantised_table(result: RunRecord) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=cell("the winner as GGUF files, in llama-server"))
    table.add_column("type")
    for title in ("size", "held-out ± SE", "lost [95%]"):
        table.add_column(title, justify="right")
    for row in quantised_rows(result):
        table.add_row(*map(cell, (row.name, row.size, estimate(row.holdout), row.lost)))
    return table
