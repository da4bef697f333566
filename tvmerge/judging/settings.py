"""The settings of benchmarks and judges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tvmerge._util.assets import is_there
from tvmerge.errors import ConfigError
from tvmerge.option import FROM_1, REPEATED, SHARE, option, weighted

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
    judge_anchor: str | None = option(
        str,
        "Second judge, for a sample of the search's answers and all held-out ones: NAME=FRACTION, such as "
        "claude=0.1; scores are on its scale.",
        None,
        decides="content",
    )
    judge_anchor_anyway: bool = option(
        bool,
        "Go on although --judge and --judge-anchor agree too little for two judges to pay.",
        False,
        decides="nothing",
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
        within=FROM_1,
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
        int, "Independent ratings per turn; default: 1.", None, decides="content", within=REPEATED
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
        within=FROM_1,
    )
    judge_tpm: int | None = option(
        int,
        "Maximum tokens per minute; default: read from the provider's headers.",
        None,
        decides="nothing",
        within=FROM_1,
    )
    judge_rpd: int | None = option(
        int, "Maximum requests per day; default: no limit.", None, decides="nothing", within=FROM_1
    )
    wait_for_quota: bool = option(
        bool, "Wait for the next day's quota instead of stopping.", False, decides="nothing"
    )
    max_cost: float | None = option(
        float, "Maximum cost of the judges in USD; default: no limit.", None, decides="nothing"
    )
    jpy_per_usd: float = option(
        float, "Yen per US dollar, for costs in yen.", 150.0, decides="nothing", within=(0.01, 10**6)
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
        within=SHARE,
    )
    non_japanese_penalty: float = option(
        float, "Points subtracted from answers below --min-japanese.", 3.0, decides="content"
    )
    parallel: int | None = option(
        int,
        "Judgments in flight at once; default: as the judge's file says, or 1.",
        None,
        decides="nothing",
        within=FROM_1,
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

    @property
    def anchor(self) -> tuple[str, float] | None:
        """The second judge and the fraction of answers that it rates; None without one.

        The fraction is what follows the last "=", so the name of a model or a file may contain others.

        Raises:
            ConfigError: There is no name or no fraction, or the fraction is not in (0, 1).
        """
        if self.judge_anchor is None:
            return None
        name, _, number = self.judge_anchor.rpartition("=")
        try:
            fraction = float(number)
        except ValueError:
            fraction = math.nan
        if not name or math.isnan(fraction):
            raise ConfigError(
                f"--judge-anchor takes NAME=FRACTION, such as {name or number or 'NAME'}=0.1; got "
                f"{self.judge_anchor!r}"
            )
        if not 0 < fraction < 1:
            way_out = f"; for ratings by {name} alone use --judge {name}" if fraction >= 1 else ""
            raise ConfigError(f"the fraction of --judge-anchor must be in (0, 1), got {number}{way_out}")
        return name, fraction

    def __post_init__(self) -> None:
        if self.baseline is not None and self.judge_mode != "pairwise":
            raise ConfigError("--baseline is only for --judge-mode pairwise")
        if self.judge_turns == "together" and self.judge_mode == "pairwise":
            raise ConfigError(
                "--judge-turns together asks for ratings, and --judge-mode pairwise compares answers turn by "
                "turn: leave one of them out"
            )
        if len(set(self.judge)) < len(self.judge) or not self.judge:
            raise ConfigError(f"name each judge of the panel once, got {', '.join(self.judge) or 'none'}")
        if self.anchor is None and self.judge_anchor_anyway:
            raise ConfigError("--judge-anchor-anyway is only for --judge-anchor")
        if self.anchor is not None and self.judge_mode == "pairwise":
            raise ConfigError("--judge-anchor is for ratings, and --judge-mode pairwise has none")
        if self.anchor is not None and self.anchor[0] in self.judge:
            raise ConfigError(f"--judge-anchor: {self.anchor[0]} rates everything already; name another")
