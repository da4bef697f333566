"""Optuna's multivariate tree-structured Parzen estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tvmerge.study.samplers import Sampler, key

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution
    from optuna.samplers import TPESampler

    from tvmerge.study.known_space_tpe import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TpeSettings:
    """Settings of TPE.

    Attributes:
        n_startup_trials: Number of trials drawn uniformly before scores are used, including enqueued ones.
        n_ei_candidates: Number of candidates compared per draw.
    """

    n_startup_trials: int = key(int, 10, 1)
    n_ei_candidates: int = key(int, 24, 1)


class _Tpe:
    """Makes the samplers of trials, which share what they have read of a study."""

    def __init__(self) -> None:
        self._rows: Rows = WeakKeyDictionary()

    def __call__(
        self, space: Mapping[str, FloatDistribution], seed: int, settings: TpeSettings
    ) -> TPESampler:
        from tvmerge.study.known_space_tpe import KnownSpaceTpe

        return KnownSpaceTpe(space, self._rows, seed=seed, **asdict(settings))


SAMPLER = Sampler(make=_Tpe(), settings=TpeSettings)
