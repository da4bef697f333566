"""NSGA-II as a function of the study's trials.

Optuna's sampler stores in the study which trials are the parents of a generation when it first needs them.
That would depend on which trials happen to be in flight, and a resumed run does not have it. Here the parents
are computed from the finished trials, starting at the first generation.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", doi:10.1109/4235.996017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from optuna.samplers import NSGAIISampler

from tvmerge.study.samplers import Sampler, key

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import FloatDistribution
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class NsgaSettings:
    """Settings of NSGA-II.

    Attributes:
        population_size: Number of trials in a generation. Optuna's default of 50 would be more than many
            searches have trials.
        mutation_prob: Probability that a weight of a child is redrawn; None for one weight of a child on
            average.
        crossover_prob: Probability that a child has two parents.
        swapping_prob: Probability that a weight comes from the second parent.
    """

    population_size: int = key(int, 20, 2)
    mutation_prob: float | None = key(float, None, 0, 1)
    crossover_prob: float = key(float, 0.9, 0, 1)
    swapping_prob: float = key(float, 0.5, 0, 1)


class NsgaSampler(NSGAIISampler):
    """Optuna's NSGA-II without its cache of parents; a trial's generation is stored with the trial."""

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Return the parents of `generation`: the best of the previous generation and its parents."""
        return self.select_parent(study, generation) if generation else []


def _make(space: Mapping[str, FloatDistribution], seed: int, settings: NsgaSettings) -> NsgaSampler:
    return NsgaSampler(seed=seed, **asdict(settings))


SAMPLER = Sampler(make=_make, settings=NsgaSettings, objectives="several")
