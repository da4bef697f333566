"""The settings of the search and of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.option import FROM_1, REPEATED, SEED, SHARE, WEIGHT, option
from tvmerge.scoring.racing import RacingRules
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.stop_when import StopWhen

RACES = ("wilcoxon", "off")
DEFAULT_RULES = RacingRules()
RACING_KEYS = ("racing", "racing_p", "racing_min_questions", "racing_batch")

UNIFORM_WEIGHTS = (0.75, 0.5, 1.0, 0.25, 1.25, 0.0, 1.5)
"""The default uniform weights: the likely best come first, so that the others race against them."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The settings of the search."""

    weight_min: float = option(float, "Smallest weight.", 0.0, decides="candidates", within=WEIGHT)
    weight_max: float = option(float, "Largest weight.", 2.0, decides="candidates", within=WEIGHT)
    optuna_sampler: str = option(
        str, "Sampler that proposes the weights.", "auto", choices=SAMPLERS.names, decides="candidates"
    )
    sampler: Mapping[str, Any] | None = option(
        dict, "Settings of the sampler; see docs/search.md.", None, decides="content"
    )
    optuna_seed: int = option(
        int, "Seed of the search, the hold-out and the answers.", 42, decides="candidates", within=SEED
    )
    n_trials: int = option(
        int,
        "Total number of trials; raise it to continue a finished run.",
        30,
        decides="nothing",
        within=(1, 10**6),
    )
    stop_when: str | None = option(
        str,
        "Stop when as many answers again are expected to gain less: 0.05 (points), 0.1/USD (points per USD).",
        None,
        decides="nothing",
    )
    trials_in_flight: int = option(
        int, "Number of candidates evaluated at once.", 1, decides="candidates", within=FROM_1
    )
    uniform_weights: tuple[float, ...] = option(
        float,
        "Uniform weights to try first, in this order; 1 and 0 follow if they are not among them.",
        UNIFORM_WEIGHTS,
        many=True,
        decides="candidates",
        within=WEIGHT,
    )
    warm_start: str | None = option(
        str,
        "Study whose best trials are tried first: its name in the same storage, or FILE-OR-URL#NAME.",
        None,
        decides="content",
    )
    warm_start_trials: int = option(
        int, "Number of its best trials that a warm start uses.", 5, decides="content", within=FROM_1
    )
    holdout: float | None = option(
        float,
        "Share of questions held out for the final comparison; default: the file's split, or 0.3.",
        None,
        decides="content",
        within=SHARE,
    )
    racing: str | None = option(
        str,
        "Whether a trial is stopped that a paired test finds worse than the best one so far; not for the "
        "sampler auto; default: wilcoxon.",
        None,
        choices=RACES,
        decides="content",
    )
    racing_p: float | None = option(
        float,
        f"p-value below which a trial counts as worse; default: {DEFAULT_RULES.p:g}.",
        None,
        decides="content",
        within=SHARE,
    )
    racing_min_questions: int | None = option(
        int,
        f"Questions a trial answers before the first test; default: {DEFAULT_RULES.minimum}.",
        None,
        decides="content",
        within=FROM_1,
    )
    racing_batch: int | None = option(
        int,
        f"Questions between two tests; default: {DEFAULT_RULES.batch}.",
        None,
        decides="content",
        within=FROM_1,
    )
    device_usd_per_hour: float = option(
        float,
        "USD per hour of all devices together; like the judges' prices, it decides how many questions a "
        "candidate answers at a time (sampler auto).",
        2.0,
        decides="nothing",
    )
    confirm_candidates: int = option(
        int,
        "Number of best candidates that the held-out questions choose among.",
        3,
        decides="nothing",
        within=FROM_1,
    )
    confirm_samples: int = option(
        int, "Answers per held-out question.", 1, decides="nothing", within=REPEATED
    )
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
        within=SHARE,
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
        if self.racing_p is not None and not 0 < self.racing_p < 1:
            raise ConfigError(f"racing_p must be in (0, 1), got {self.racing_p:g}")
        if self.holdout == 1:
            raise ConfigError("holdout 1 leaves no question to search with")

    @property
    def racing_settings(self) -> dict[str, Any]:
        """The settings of races by key, without those that are not set."""
        found = {key: getattr(self, key) for key in RACING_KEYS}
        return {key: value for key, value in found.items() if value is not None}

    @property
    def racing_fingerprint(self) -> dict[str, Any]:
        """All settings of races, as a study's fingerprint has them."""
        default = {"racing": RACES[0], "racing_p": DEFAULT_RULES.p}
        checks = {"racing_min_questions": DEFAULT_RULES.minimum, "racing_batch": DEFAULT_RULES.batch}
        return {**default, **checks, **self.racing_settings}

    @property
    def racing_rules(self) -> RacingRules | None:
        """The rules of early stopping; None if every trial answers all questions."""
        racing, p, minimum, batch = self.racing_fingerprint.values()
        return None if racing == "off" else RacingRules(p, minimum, batch)
