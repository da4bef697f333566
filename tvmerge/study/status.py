"""How a study stands, read from outside while a run works on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tvmerge._util.urls import hide_passwords
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, Recipe, Trial
from tvmerge.study.lock import is_study_locked
from tvmerge.study.pareto import pareto_front
from tvmerge.study.storage import N_TRIALS, read_study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """How a study stands.

    Attributes:
        study: Its name.
        storage: Where it is, without passwords.
        held: Whether a run works on it now.
        n_trials: The number of trials its latest run works towards, or None where no run said.
        states: How many trials there are by Optuna's name of their state.
        best: The scored trials that no other beats: the best one, or with several objectives the front.
        last_told: When the last trial was told, local time; None before the first.
    """

    study: str
    storage: str
    held: bool
    n_trials: int | None
    states: Mapping[str, int]
    best: tuple[Trial, ...]
    last_told: datetime | None

    @property
    def told(self) -> int:
        """Trials that have ended, in whatever way."""
        return sum(self.states.values()) - self.states.get("RUNNING", 0)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "study": self.study,
            "storage": self.storage,
            "held": self.held,
            "n_trials": self.n_trials,
            "told": self.told,
            "running": self.states.get("RUNNING", 0),
            "complete": self.states.get("COMPLETE", 0),
            "pruned": self.states.get("PRUNED", 0),
            "failed": self.states.get("FAIL", 0),
            "best": [
                {
                    "number": t.number,
                    "scores": list(t.values),
                    **{key: t.attrs[key] for key in (CUT_OFF, CUT_IN_THOUGHT) if key in t.attrs},
                }
                for t in self.best
            ],
            "last_told": None if self.last_told is None else self.last_told.astimezone().isoformat(),
        }


def read_status(storage: str, study: str) -> StudyStatus:
    """Read how a study stands; nothing is locked or written.

    Raises:
        StudyError: There is no such study, or the storage cannot be read.
    """
    stored = read_study(storage, study)
    front = pareto_front([_trial(row) for row in stored.rows])
    single = not front or len(front[0].values) == 1
    return StudyStatus(
        study=study,
        storage=hide_passwords(storage),
        held=is_study_locked(storage, study),
        n_trials=stored.attrs.get(N_TRIALS),
        states=Counter(row.state.name for row in stored.rows),
        best=front[:1] if single else front,
        last_told=max((row.datetime_complete for row in stored.rows if row.datetime_complete), default=None),
    )


def _trial(row: FrozenTrial) -> Trial:
    values = tuple(row.values or ())
    return Trial(
        row.number, Recipe(row.params), values[0] if values else None, row.state.name, row.user_attrs, values
    )
