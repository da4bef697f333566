"""NSGA-II as a function of the study's table.

Optuna's sampler notes in the study which trials are the parents of a generation when it first asks for one.
A resumed run has no such note, and trials in flight would make it depend on the moment. Here the parents are
found anew from what is known, down to the first generation.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", doi:10.1109/4235.996017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.samplers import NSGAIISampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


class NsgaSampler(NSGAIISampler):
    """Optuna's NSGA-II without a memory of its own; a trial's generation is noted in the trial."""

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of `generation`: the best of the one before and of its parents."""
        return self.select_parent(study, generation) if generation else []
