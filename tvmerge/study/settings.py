"""The settings of the search and of the study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.option import option
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.stop_when import StopWhen

RACES = ("wilcoxon", "off")

UNIFORM_WEIGHTS = (0.75, 0.5, 1.0, 0.25, 1.25, 0.0, 1.5)
"""The default uniform weights: the likely best come first, so that the others race against them."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The settings of the search."""

    weight_min: float = option(float, "Smallest weight.", 0.0, decides="candidates")
    weight_max: float = option(float, "Largest weight.", 2.0, decides="candidates")
    optuna_sampler: str = option(
        str, "Sampler that proposes the weights.", "TPE", choices=SAMPLERS.names, decides="candidates"
    )
    sampler: Mapping[str, Any] | None = option(
        dict, "Settings of the sampler; see docs/search.md.", None, decides="content"
    )
    optuna_seed: int = option(
        int, "Seed of the search, the hold-out and the answers.", 42, decides="candidates"
    )
    n_trials: int = option(
        int, "Total number of trials; raise it to continue a finished run.", 30, decides="nothing"
    )
    stop_when: str | None = option(
        str,
        "Stop when as many answers again are expected to gain less: 0.05 (points), 0.1/USD (points per USD).",
        None,
        decides="nothing",
    )
    trials_in_flight: int = option(int, "Number of candidates evaluated at once.", 1, decides="candidates")
    uniform_weights: tuple[float, ...] = option(
        float,
        "Uniform weights to try first, in this order; 1 and 0 follow if they are not among them.",
        UNIFORM_WEIGHTS,
        many=True,
        decides="candidates",
    )
    warm_start: str | None = option(
        str,
        "Study whose best trials are tried first: its name in the same storage, or FILE-OR-URL#NAME.",
        None,
        decides="content",
    )
    warm_start_trials: int = option(
        int, "Number of its best trials that a warm start uses.", 5, decides="content"
    )
    holdout: float | None = option(
        float,
        "Share of questions held out for the final comparison; default: the file's split, or 0.3.",
        None,
        decides="content",
    )
    racing: str = option(
        str,
        "Stop a candidate that a paired test finds worse than the best one so far.",
        "wilcoxon",
        choices=RACES,
        decides="candidates",
    )
    racing_p: float = option(
        float, "p-value below which a candidate counts as worse.", 0.25, decides="candidates"
    )
    racing_min_questions: int = option(
        int, "Questions a candidate answers before the first test.", 8, decides="candidates"
    )
    racing_batch: int = option(int, "Questions between two tests.", 8, decides="candidates")
    device_usd_per_hour: float = option(
        float,
        "USD per hour of all devices together; like the judges' prices, it decides how many questions a "
        "candidate answers at a time (sampler auto).",
        2.0,
        decides="nothing",
    )
    confirm_candidates: int = option(
        int, "Number of best candidates that the held-out questions choose among.", 3, decides="nothing"
    )
    confirm_samples: int = option(int, "Answers per held-out question.", 1, decides="nothing")
    multi_objective: bool = option(
        bool,
        "Search the Pareto front of several benchmarks instead of their weighted mean.",
        False,
        decides="candidates",
    )
    min_coverage: float = option(
        float,
        "Minimum share of each benchmark's judgments with a rating; below it the trial fails.",
        0.9,
        decides="scores",
    )
    study_name: str | None = option(
        str, "Name of the study; default: <target>-<benchmark>.", None, decides="nothing"
    )
    storage: str | None = option(
        str,
        "URL of an SQLite, PostgreSQL or MySQL database; default: sqlite:///<run-dir>/study.db.",
        None,
        decides="nothing",
    )
    fork: str | None = option(
        str,
        "Name of a new study with these settings that starts with all trials of the current one.",
        None,
        decides="nothing",
    )

    @property
    def stop_bound(self) -> StopWhen | None:
        """The bound of `stop_when`; None if the search asks all its questions."""
        return None if self.stop_when is None else StopWhen.read(self.stop_when)

    def __post_init__(self) -> None:
        _ = self.stop_bound  # raises if it is none
        if self.weight_min > self.weight_max:
            raise ConfigError(f"weight_min {self.weight_min:g} is larger than weight_max {self.weight_max:g}")
        outside = [w for w in self.uniform_weights if not self.weight_min <= w <= self.weight_max]
        if outside and self.uniform_weights != UNIFORM_WEIGHTS:
            raise ConfigError(f"uniform_weights must be within the range of the weights, got {outside[0]:g}")
        for name in (
            *("n_trials", "trials_in_flight", "racing_min_questions", "racing_batch"),
            *("confirm_candidates", "confirm_samples", "warm_start_trials"),
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("holdout", "min_coverage"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {value:g}")
        if not 0 <= self.device_usd_per_hour < math.inf:
            raise ConfigError(f"device_usd_per_hour must be at least 0, got {self.device_usd_per_hour:g}")
        if not 0 < self.racing_p < 1:
            raise ConfigError(f"racing_p must be in (0, 1), got {self.racing_p:g}")
        if self.holdout == 1:
            raise ConfigError("holdout 1 leaves no question to search with")
