"""The settings of benchmarks and judges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tvmerge._util.assets import is_there
from tvmerge.errors import ConfigError
from tvmerge.option import option, weighted

JUDGE_MODES = ("single", "pairwise")
JUDGE_TURNS = ("apart", "together")


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """The settings of benchmarks and judges."""

    bench_name: tuple[str, ...] = option(
        str,
        "Benchmark: a name from `tvmerge list benchmarks`, or a folder; several with weights: a=0.7,b=0.3.",
        (),
        many=True,
        listed="paths",
        decides="content",
    )
    judge: tuple[str, ...] = option(
        str,
        "Judge: a name from `tvmerge list judges`, provider/model, or a .toml file; several form a panel.",
        ("gpt-6.1-terra",),
        aliases=("judge-model", "judge-model-name"),
        many=True,
        listed="paths",
        decides="content",
    )
    judge_base_url: str | None = option(
        str, "URL of an OpenAI-compatible server to use instead.", None, decides="content"
    )
    judge_file: str | None = option(str, "Judge prompts in FastChat's format.", None, decides="content")
    reference: str | None = option(
        str,
        "Reference answers: a file of reference_answer/ by name; default: the judge's own, or the only one.",
        None,
        decides="content",
    )
    turns: int | None = option(
        int,
        "Number of turns of each question to ask and judge; default: all.",
        None,
        decides="content",
    )
    judge_mode: str = option(
        str,
        "Rate answers, or compare them with those of --baseline.",
        "single",
        choices=JUDGE_MODES,
        decides="content",
    )
    baseline: str | None = option(
        str,
        "What answers are compared with: weight:NUMBER, trial:NUMBER or a file of answers; default: "
        "weight:0.",
        None,
        decides="content",
    )
    judge_turns: str = option(
        str,
        "Rate each turn in a request of its own, or all turns of an answer in one.",
        "apart",
        choices=JUDGE_TURNS,
        decides="content",
    )
    judge_samples: int | None = option(
        int, "Independent ratings per turn; default: 1.", None, decides="content"
    )
    judge_reasks: int = option(
        int, "How often a judge is asked again after a reply without a rating.", 3, decides="nothing"
    )
    judge_patience: float = option(
        float, "Seconds for which a failing call is retried.", 600.0, decides="nothing"
    )
    judge_rpm: int | None = option(
        int,
        "Maximum requests per minute; default: read from the provider's headers.",
        None,
        decides="nothing",
    )
    judge_tpm: int | None = option(
        int, "Maximum tokens per minute; default: read from the provider's headers.", None, decides="nothing"
    )
    judge_rpd: int | None = option(
        int, "Maximum requests per day; default: no limit.", None, decides="nothing"
    )
    wait_for_quota: bool = option(
        bool, "Wait for the next day's quota instead of stopping.", False, decides="nothing"
    )
    max_cost: float | None = option(
        float, "Maximum cost of the judges in USD; default: no limit.", None, decides="nothing"
    )
    max_judge_calls: int | None = option(
        int,
        "Maximum requests to the judges, including failed ones; default: no limit.",
        None,
        decides="nothing",
    )
    judge_batch: bool = option(
        bool,
        "Use the batch endpoints of the judges' providers: slower, at half the price (OpenAI, Anthropic).",
        False,
        decides="nothing",
    )
    judge_batch_patience: float = option(
        float, "Seconds to wait for a batch; providers take up to 24 hours.", 90_000.0, decides="nothing"
    )
    min_japanese: float | None = option(
        float,
        "Minimum share of Japanese script in an answer; default: not enforced.",
        None,
        decides="content",
    )
    non_japanese_penalty: float = option(
        float, "Points subtracted from answers below --min-japanese.", 3.0, decides="content"
    )
    parallel: int | None = option(
        int, "Judgments in flight at once; default: as the judge's file says, or 1.", None, decides="nothing"
    )
    assets: str | None = option(
        str, "Folder with judges/, benchmarks/ and prompts/ of your own.", None, decides="nothing"
    )

    @property
    def benchmarks(self) -> tuple[tuple[str, float], ...]:
        """The benchmarks with their weights. A folder called `name=0.7` is not a name with a weight."""
        assets = None if self.assets is None else Path(self.assets)
        return tuple(
            weighted(text, lambda name: is_there("benchmarks", name, assets)) for text in self.bench_name
        )

    def __post_init__(self) -> None:
        for name in ("judge_samples", "judge_rpm", "judge_tpm", "judge_rpd", "parallel", "turns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        for name in (
            "judge_reasks",
            "judge_patience",
            "judge_batch_patience",
            "max_cost",
            "max_judge_calls",
            "non_japanese_penalty",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be finite and not negative, got {value:g}")
        if self.baseline is not None and self.judge_mode != "pairwise":
            raise ConfigError("--baseline is only for --judge-mode pairwise")
        if self.judge_turns == "together" and self.judge_mode == "pairwise":
            raise ConfigError(
                "--judge-turns together asks for ratings, and --judge-mode pairwise compares answers turn by "
                "turn: leave one of them out"
            )
        if self.min_japanese is not None and not 0 <= self.min_japanese <= 1:
            raise ConfigError(f"min_japanese must be in [0, 1], got {self.min_japanese:g}")
        if len(set(self.judge)) < len(self.judge) or not self.judge:
            raise ConfigError(f"name each judge of the panel once, got {', '.join(self.judge) or 'none'}")
