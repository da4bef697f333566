"""The settings of the search: which candidates are tried, on which questions, and where that is written."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.config.option import option
from tvmerge.errors import ConfigError

SAMPLERS = ("TPE", "CMA-ES")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The settings of the search."""

    weight_min: float = option(float, "Smallest weight.", 0.0)
    weight_max: float = option(float, "Largest weight.", 2.0)
    optuna_sampler: str = option(str, "How the next weights are chosen.", "TPE", choices=SAMPLERS)
    optuna_seed: int = option(int, "Seed of the search, the hold-out and the answers.", 42)
    n_trials: int = option(int, "Trials in total; running again with more continues.", 30)
    trials_in_flight: int = option(int, "Candidates in work at once.", 1)
    uniform_weights: tuple[float, ...] = option(
        float, "Uniform weights to try first, beside 0 and 1.", (), many=True
    )
    holdout: float | None = option(
        float,
        "Share of questions held out for the final comparison; default: the file's split, or 0.3.",
        None,
    )
    min_coverage: float = option(
        float, "Share of judgments that must give a rating, else the trial fails.", 0.9
    )
    study_name: str | None = option(str, "Name of the study; default: <target>-<benchmark>.", None)
    storage: str | None = option(str, "Optuna storage URL; default: sqlite:///<run-dir>/study.db.", None)

    def __post_init__(self) -> None:
        if self.weight_min > self.weight_max:
            raise ConfigError(f"weight_min {self.weight_min:g} is larger than weight_max {self.weight_max:g}")
        outside = [w for w in self.uniform_weights if not self.weight_min <= w <= self.weight_max]
        if outside:
            raise ConfigError(f"uniform_weights must lie in the range of the weights, got {outside[0]:g}")
        for name in ("n_trials", "trials_in_flight"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("holdout", "min_coverage"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {value:g}")
        if self.holdout == 1:
            raise ConfigError("holdout 1 leaves no question to search with")
