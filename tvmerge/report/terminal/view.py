"""The display of a run as text: the lines of a live view, and one line that stands for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tvmerge.report.numbers import duration
from tvmerge.report.terminal.state import RunState, Spent, Stage

WIDE = 64
"""Columns from which a stage is shown in one line with a bar."""

_BAR = 20
"""Columns of a bar."""

_FEWEST_ROWS = 2
"""Fewest candidates in flight that are listed, whatever the height."""

_SHORT_LABEL = 9
"""Columns that the name of a candidate has at least."""

_SPINNER = "|/-\\"
_TURNS = 4.0
"""Steps of the spinner per second."""

Style = Literal["plain", "good", "faint", "warn"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the live view.

    Attributes:
        text: The text; what does not fit is cut off.
        style: How it looks.
    """

    text: str
    style: Style = "plain"


def live_rows(state: RunState, width: int, height: int, *, ascii_bar: bool = False) -> list[Row]:
    """Return the lines of the live view.

    Args:
        state: The state of the run.
        width: Columns of the terminal.
        height: Lines of the terminal.
        ascii_bar: Whether bars are drawn in ASCII.
    """
    head = [row for stage in state.stages for row in _stage(state, stage, width, ascii_bar=ascii_bar)]
    if state.phase and not state.over:
        head.append(Row(_phase(state)))
    head += _found(state, width)
    foot: list[Row] = []
    if not state.over:
        foot += [Row(text, "faint") for text in _fitted(_speed(state), width)]
        foot += [Row(state.waiting, "warn")] if state.waiting else []
    room = max(_FEWEST_ROWS, height - len(head) - len(foot) - 1)
    return [*head, *([] if state.over else _in_flight(state, width, room)), *foot]


def summary(state: RunState, *, is_new: bool = False, in_flight: bool = False) -> str:
    """Return the state of the run in one line that needs no other.

    Args:
        state: The state.
        is_new: Whether the best was found just now.
        in_flight: Whether to say what the first candidate in flight is doing.
    """
    stage = state.stage
    if stage is None or state.phase:
        return _phase_line(state)
    parts = [f"{stage.name} {stage.done:,}/{stage.total:,} {stage.unit}".rstrip(), state.last]
    if stage.name == "search":
        # In a search by blocks the estimates change, so that another best may have a lower one.
        risen = is_new and state.best and stage.unit != "answers"
        parts.append(f"new {state.best}" if risen else state.best)
        parts += [*state.baselines, _counted(state)]
    if in_flight:
        parts += [" ".join(first) for first in state.flights.stages()[:1]]
    parts += [*_speed(state), _left(state)]
    return "  ".join(part for part in parts if part)


def usage(spent: Spent) -> Iterator[str]:
    """Yield what the judges have used: calls, judgments from the cache, cost."""
    if not (spent.calls or spent.hits):
        return
    most = "" if spent.max_calls is None else f" of {spent.max_calls:,}"
    yield f"{spent.calls:,}{most} judge {'call' if spent.calls == 1 and not most else 'calls'}"
    if spent.hits:
        yield f"{spent.hits:,} from the cache"
    if not spent.priced:
        yield "price not known"
    elif spent.cost or spent.max_cost is not None:
        most = "" if spent.max_cost is None else f" of {spent.max_cost:g}"
        yield f"{spent.cost:.2f}{most} USD"


def _stage(state: RunState, stage: Stage, width: int, *, ascii_bar: bool) -> list[Row]:
    end = state.clock() if stage.ended is None else stage.ended
    counted = f"{stage.done:,}/{stage.total:,} {stage.unit}".rstrip()
    times = [_clock(end - stage.started)]
    if stage.ended is None and (left := _left(state)):
        times.append(left)
    if width < WIDE:
        return [Row(f"{stage.name} {counted}", "good"), Row("  " + ", ".join(times), "faint")]
    share = min(1.0, stage.done / max(1, stage.total))
    return [
        Row(
            f"{stage.name:<9} {_bar(share, ascii_bar=ascii_bar)} {counted}  {', '.join(times)}",
            "good",
        )
    ]


def _found(state: RunState, width: int) -> list[Row]:
    if not any(stage.name == "search" for stage in state.stages):
        return []
    counted = _counted(state)
    # What does not fit into a line becomes two: how many there are, and in which states.
    counts = [counted] if len(counted) <= width else counted.replace(": ", ":\n  ").split("\n")
    rows = [Row(text) for text in (*filter(None, counts), *_fitted([state.best, *state.baselines], width))]
    return [*rows, *([Row(state.last, "faint")] if state.last else [])]


def _counted(state: RunState) -> str:
    counts = state.counts
    if counts is None or not counts.all:
        return ""
    return f"{counts.all:,} candidates: {counts}" if counts.all > 1 else f"1 candidate: {counts}"


def _in_flight(state: RunState, width: int, most: int) -> list[Row]:
    found = state.flights.stages()
    shown = found if len(found) <= most else found[: most - 1]
    stages = max((len(stage) for _, stage in shown), default=0)
    wide = min(max((len(label) for label, _ in shown), default=0), max(_SHORT_LABEL, width - stages - 4))
    rows = [Row(f"  {label[:wide]:<{wide}}  {stage}") for label, stage in shown]
    if len(found) > len(shown):
        rows.append(Row(f"  and {len(found) - len(shown)} more", "faint"))
    return rows


def _speed(state: RunState) -> list[str]:
    speed = state.flights.tokens_per_second()
    parts = [] if speed is None else [f"{speed:,.0f} tokens/s"]
    return parts if state.spent is None else [*parts, *usage(state.spent())]


def _fitted(parts: list[str], width: int) -> list[str]:
    """Return the parts, as many in a line as fit."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _phase(state: RunState) -> str:
    seconds = state.clock() - state.phase_started
    turn = _SPINNER[int(seconds * _TURNS) % len(_SPINNER)]
    return f"{turn} {state.phase}{f'  {duration(seconds)}' if seconds >= 1 else ''}"


def _phase_line(state: RunState) -> str:
    seconds = round(state.clock() - state.phase_started)
    return f"{state.phase} ({duration(seconds)} so far)" if seconds >= 1 else state.phase


def _left(state: RunState) -> str:
    stage = state.stage
    if stage is None or (stage.name != "search" and stage.done >= stage.total):
        return ""
    remaining = state.remaining
    return "" if remaining is None or remaining < 1 else f"about {duration(remaining)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(share: float, *, ascii_bar: bool) -> str:
    full, empty = ("#", "-") if ascii_bar else ("━", "─")
    return full * round(share * _BAR) + empty * (_BAR - round(share * _BAR))
