"""Three ways to show how a run goes on: a live bar, plain lines, and silence. All of it on standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from tvmerge.report.numbers import duration

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID


@dataclass(frozen=True, slots=True)
class Step:
    """Where a stage of a run stands.

    Attributes:
        stage: What is going on (`search`, `finalists`).
        done: Units done.
        total: Units in all.
        last: What the last unit brought, for people.
        best: What is best so far, for people; empty where nothing is.
        remaining: Seconds left at the pace so far, or None before there is a pace.
        notable: Whether a log of few lines should mention it.
    """

    stage: str
    done: int
    total: int
    last: str = ""
    best: str = ""
    remaining: float | None = None
    notable: bool = True


class Display(Protocol):
    """Shows steps and notes from `__enter__` to `__exit__`; never swallows an exception."""

    def __enter__(self) -> Display:
        """Take the stream."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream as it was."""

    def step(self, step: Step) -> None:
        """Show where a stage stands."""

    def note(self, text: str) -> None:
        """Show a line that stays."""


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


class Lines:
    """Writes a line for each notable step: for logs, where a bar would leave a heap of control codes.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, step: Step) -> None:
        """Write a line where the step is notable."""
        if step.notable:
            parts = [f"{step.stage} {step.done}/{step.total}", step.last, step.best, _left(step)]
            self.note("  ".join(part for part in parts if part))

    def note(self, text: str) -> None:
        """Write a line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Bar:
    """A live bar on a terminal, with notes above it.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(file=stream)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[last]}", markup=False),
            TextColumn("{task.fields[best]}", markup=False, style="bold"),
            TextColumn("{task.fields[left]}", markup=False, style="dim"),
            TimeElapsedColumn(),
            console=self._console,
            refresh_per_second=4,
            # Results printed to standard output must not land on the bar's stream.
            redirect_stdout=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, step: Step) -> None:
        """Move the bar of the step's stage."""
        if step.stage not in self._tasks:
            self._tasks[step.stage] = self._progress.add_task(
                step.stage, total=step.total, completed=step.done, last="", best="", left=""
            )
        self._progress.update(
            self._tasks[step.stage],
            completed=step.done,
            total=step.total,
            last=step.last,
            best=step.best,
            left=_left(step),
        )

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, highlight=False)


def _left(step: Step) -> str:
    if step.remaining is None or step.done >= step.total:
        return ""
    return f"about {duration(step.remaining)} left"
