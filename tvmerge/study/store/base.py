"""The base class of trial stores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Times = tuple[datetime | None, datetime | None]
"""When a trial was asked and when it ended, in naive local time as Optuna has it; None if it has not."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a trial.

    Attributes:
        state: Optuna's name of its state.
        values: Its scores, one per objective; empty if it failed.
        attrs: User attributes to store with them.
        step: Of a pruned trial, the number of questions its score was estimated from, stored as the step of
            an intermediate value, which Optuna's tools show.
    """

    state: str
    values: tuple[float, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None


class TrialStore(Protocol):
    """Stores trials durably: what is written is stored when a call returns.

    Attributes:
        reopens: Whether a trial that has ended can run again.
    """

    reopens: bool

    def read(self) -> list[FrozenTrial]:
        """Return all trials, in order of number."""

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial with its weights and attributes.

        Raises:
            StudyError: There is already a trial with that number.
        """

    def record(self, number: int, attrs: Mapping[str, Any], steps: Mapping[int, float]) -> None:
        """Write attributes and intermediate values of a running trial, in place of any of the same name.

        Raises:
            StudyError: It does not run any more.
        """

    def reopen(self, number: int, without: Collection[str] = ()) -> None:
        """Let a trial that has ended run again, without its scores.

        Args:
            number: The trial.
            without: Attributes that belong to the scores and are dropped with them.

        Raises:
            StudyError: The storage cannot do that.
        """

    def mark(self, number: int, attrs: Mapping[str, Any]) -> None:
        """Write attributes of a trial that may have ended, in place of any of the same name.

        An attribute that is None is removed. Nothing is done where the storage changes no trial that has
        ended.
        """

    def tell(self, number: int, result: TrialResult) -> None:
        """Write the result of a running trial.

        Raises:
            StudyError: The trial is not running.
        """

    def times(self) -> dict[int, Times]:
        """Return when each trial was asked and when it ended, by number."""

    def ids(self) -> dict[int, int]:
        """Return the ids of all trials in the storage, by their numbers."""

    def note_of(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return a trial's id in the storage, and the system attributes of the study that hold its note."""

    def note(self, attrs: Mapping[str, Any]) -> None:
        """Write system attributes of the study, in place of any of the same name."""
