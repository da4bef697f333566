"""The contract of trial stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        state: Optuna's name of its state.
        values: Its scores, one an objective; empty where it failed.
        attrs: User attributes to record with them.
        step: Where it was stopped early, the number of questions its one score is an estimate from; tools
            of Optuna's show such a trial by its intermediate values.
    """

    state: str
    values: tuple[float, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None


class TrialStore(Protocol):
    """Where trials are written; what is written is there when a call returns."""

    def read(self) -> list[FrozenTrial]:
        """All trials, in order of number."""

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial, its weights and attributes included.

        Raises:
            StudyError: There is a trial of that number.
        """

    def tell(self, number: int, result: TrialResult) -> None:
        """Write how a running trial ended.

        Raises:
            StudyError: It does not run any more.
        """
