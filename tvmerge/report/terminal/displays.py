"""Three ways to show the progress of a run: a live bar, plain lines, and silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from tvmerge.report.numbers import duration

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of a stage of a run.

    Attributes:
        stage: The stage (`search`, `finalists`).
        done: Number of units done.
        total: Total number of units.
        last: The result of the last unit, as text.
        best: The best result so far, as text; empty if there is none.
        remaining: Estimated seconds left, or None before there is an estimate.
        notable: Whether a short log should mention it.
        unit: What is counted, if the stage does not say so.
    """

    stage: str
    done: int
    total: int
    last: str = ""
    best: str = ""
    remaining: float | None = None
    notable: bool = True
    unit: str = ""


class Display(Protocol):
    """Shows steps and notes between `__enter__` and `__exit__`; never suppresses an exception."""

    def __enter__(self) -> Display:
        """Start the display."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the stream."""

    def step(self, step: Step) -> None:
        """Show the progress of a stage."""

    def note(self, text: str) -> None:
        """Show a permanent line."""

    def waiting(self, text: str) -> None:
        """Show what the run is waiting for, replacing the previous text; empty if it waits for nothing."""


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, step: Step) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def waiting(self, text: str) -> None:
        """Show nothing."""


class Lines:
    """Shows a line for each notable step, for logs, where a bar would leave control codes.

    Args:
        tell: Called with each line, from any thread.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, step: Step) -> None:
        """Show a line if the step is notable."""
        if step.notable:
            done = f"{step.stage} {step.done}/{step.total}"
            parts = [f"{done} {step.unit}".rstrip(), step.last, step.best, _left(step)]
            self.note("  ".join(part for part in parts if part))

    def note(self, text: str) -> None:
        """Show a line."""
        self._tell(text)

    def waiting(self, text: str) -> None:
        """Show a line unless the text is empty."""
        if text:
            self.note(text)


class Bar:
    """A live bar on a terminal, with notes above it.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.text import Text

        self._console = Console(file=stream)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="dim"),
            console=self._console,
        )
        self._status = Text(no_wrap=True, overflow="ellipsis")
        self._waiting = Text(style="yellow", overflow="ellipsis")
        self._tasks: dict[str, TaskID] = {}
        # Results printed to standard output must not go to the bar's stream.
        self._live = Live(
            Group(self._progress, self._status, self._waiting),
            console=self._console,
            refresh_per_second=4,
            redirect_stdout=False,
        )

    def __enter__(self) -> Bar:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def step(self, step: Step) -> None:
        """Move the bar of the step's stage, and show the step's result below it."""
        if step.stage not in self._tasks:
            self._tasks[step.stage] = self._progress.add_task(step.stage, unit=step.unit, left="")
        task = self._tasks[step.stage]
        self._progress.update(task, completed=step.done, total=step.total, left=_left(step))
        self._status.plain = "  ".join(part for part in (step.last, step.best) if part)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def waiting(self, text: str) -> None:
        """Show below the bar what the run is waiting for."""
        self._waiting.plain = text


def _left(step: Step) -> str:
    if step.remaining is None or step.done >= step.total:
        return ""
    return f"about {duration(step.remaining)} left"
