"""Every setting of a run, declared once: its key in `run.toml`, its flag, its default and its meaning."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.files import safe_name

SAMPLERS = ("TPE", "CMA-ES")
JUDGE_MODES = ("single", "pairwise")
MODES = ("all", "layer", "parameter")
DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is written.

    Attributes:
        kind: Type of its value.
        help: What it means, for `--help`.
        choices: The values allowed, or empty for any.
        aliases: Other names of its flag.
        many: A list of `kind`; its flag takes a comma-separated list and may be repeated.
    """

    kind: type
    help: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    many: bool = False


def _option(
    kind: type,
    help: str,  # noqa: A002
    default: Any = MISSING,
    *,
    choices: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    many: bool = False,
) -> Any:
    option = Option(kind, help, choices, aliases, many)
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeConfig:
    """The settings that decide what is merged; a study keeps them, so that any trial can be merged again."""

    target_model: str
    base_model: str
    tuned_model: str
    optimize_mode: str = "layer"
    dtype: str = "auto"
    cache_dir: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeConfig:
    """The settings that decide what is asked, who judges, and how."""

    bench_name: str
    judge: tuple[str, ...] = ("gpt-4",)
    judge_base_url: str | None = None
    judge_file: str | None = None
    judge_mode: str = "single"
    judge_samples: int | None = None
    judge_reasks: int = 3
    judge_patience: float = 600.0
    judge_rpm: int | None = None
    judge_tpm: int | None = None
    judge_rpd: int | None = None
    wait_for_quota: bool = False
    max_cost: float | None = None
    max_judge_calls: int | None = None
    min_japanese: float | None = None
    non_japanese_penalty: float = 3.0
    parallel: int = 1
    assets: str | None = None

    def __post_init__(self) -> None:
        for name in ("judge_samples", "judge_rpm", "judge_tpm", "judge_rpd", "parallel"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        for name in ("judge_reasks", "judge_patience", "max_cost", "max_judge_calls", "non_japanese_penalty"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} must not be negative, got {value:g}")
        if self.min_japanese is not None and not 0 <= self.min_japanese <= 1:
            raise ConfigError(f"min_japanese must lie between 0 and 1, got {self.min_japanese:g}")
        if len(set(self.judge)) < len(self.judge) or not self.judge:
            raise ConfigError(f"name each judge of the panel once, got {', '.join(self.judge) or 'none'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The settings of `tvmerge optimize`; unstated defaults are those of the scripts it replaces."""

    target_model: str = _option(str, "Model the task vector is added to: a folder or a hub id[@revision].")
    base_model: str = _option(str, "Model the tuned model was tuned from.")
    tuned_model: str = _option(str, "Model that has the skill; the task vector is tuned - base.")
    bench_name: str = _option(str, "Benchmark: a name of `tvmerge list benchmarks`, or a folder.")
    judge: tuple[str, ...] = _option(
        str,
        "Judge: a name of `tvmerge list judges`, provider/model, or a .toml file; several are a panel.",
        ("gpt-4",),
        aliases=("judge-model", "judge-model-name"),
        many=True,
    )
    judge_base_url: str | None = _option(str, "URL of an OpenAI-compatible server to ask instead.", None)
    judge_file: str | None = _option(str, "Judge prompts in FastChat's format.", None)
    judge_mode: str = _option(
        str, "Rate answers, or compare them with those of weight 0.", "single", choices=JUDGE_MODES
    )
    judge_samples: int | None = _option(int, "Independent ratings of each turn; default: 1.", None)
    judge_reasks: int = _option(int, "How often a reply without a rating is asked for again.", 3)
    judge_patience: float = _option(float, "Seconds in which a failing call is tried again.", 600.0)
    judge_rpm: int | None = _option(int, "Most requests a minute; default: learnt from the provider.", None)
    judge_tpm: int | None = _option(int, "Most tokens a minute; default: learnt from the provider.", None)
    judge_rpd: int | None = _option(int, "Most requests a day; default: no limit.", None)
    wait_for_quota: bool = _option(bool, "Wait for the next day's requests instead of stopping.", False)
    max_cost: float | None = _option(float, "Most USD the judges may cost; default: no limit.", None)
    max_judge_calls: int | None = _option(int, "Most calls of the judges; default: no limit.", None)
    min_japanese: float | None = _option(
        float, "Least share of Japanese script in an answer; default: not enforced.", None
    )
    non_japanese_penalty: float = _option(float, "Points taken off under --min-japanese.", 3.0)
    parallel: int = _option(int, "Judgments in flight at once.", 1)
    weight_min: float = _option(float, "Smallest weight.", 0.0)
    weight_max: float = _option(float, "Largest weight.", 2.0)
    optimize_mode: str = _option(
        str, "What shares a weight: each tensor alone, a layer, a parameter kind.", "layer", choices=MODES
    )
    optuna_sampler: str = _option(str, "How the next weights are chosen.", "TPE", choices=SAMPLERS)
    optuna_seed: int = _option(int, "Seed of the search, the hold-out and the answers.", 42)
    n_trials: int = _option(int, "Trials in total; running again with more continues.", 30)
    trials_in_flight: int = _option(int, "Candidates in work at once.", 1)
    uniform_weights: tuple[float, ...] = _option(
        float, "Uniform weights to try first, beside 0 and 1.", (), many=True
    )
    holdout: float | None = _option(
        float,
        "Share of questions held out for the final comparison; default: the file's split, or 0.3.",
        None,
    )
    min_coverage: float = _option(
        float, "Share of judgments that must give a rating, else the trial fails.", 0.9
    )
    max_new_tokens: int = _option(int, "The most tokens an answer may have.", 512)
    chat_template: str | None = _option(str, "Chat template (Jinja file) instead of the target's own.", None)
    batch_tokens: int = _option(int, "Token budget of a generation batch.", 16384)
    device: str = _option(str, "auto, cpu, cuda or cuda:N.", "auto")
    dtype: str = _option(str, "Type of the merged tensors; auto: the target's.", "auto", choices=DTYPES)
    study_name: str | None = _option(str, "Name of the study; default: <target>-<benchmark>.", None)
    storage: str | None = _option(str, "Optuna storage URL; default: sqlite:///<run-dir>/study.db.", None)
    run_dir: str | None = _option(str, "Folder of the run's results; default: runs/<study-name>.", None)
    output_dir: str | None = _option(str, "Folder of the merged model; default: <run-dir>/model.", None)
    overwrite: bool = _option(bool, "Replace whatever is in the output folder.", False)
    cache_dir: str | None = _option(str, "Where models from the hub are downloaded to.", None)
    assets: str | None = _option(str, "Folder with judges/, benchmarks/ and prompts/ of your own.", None)
    allow_pickle: bool = _option(bool, "Accept checkpoints without safetensors.", False)
    trust_remote_code: bool = _option(bool, "Run code that comes with a model.", False)
    grace: float = _option(float, "Seconds to wait for paid judgments after Ctrl-C.", 30.0)

    def __post_init__(self) -> None:
        _ = self.judging  # checks its own settings
        for name in ("n_trials", "trials_in_flight", "max_new_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("holdout", "min_coverage"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {value:g}")
        if self.holdout == 1:
            raise ConfigError("holdout 1 leaves no question to search with")
        if self.weight_min > self.weight_max:
            raise ConfigError(f"weight_min {self.weight_min:g} is larger than weight_max {self.weight_max:g}")

    @property
    def merge(self) -> MergeConfig:
        """The part that decides what is merged."""
        return MergeConfig(**{f.name: getattr(self, f.name) for f in fields(MergeConfig)})

    @property
    def judging(self) -> JudgeConfig:
        """The part that decides what is asked and who judges."""
        return JudgeConfig(**{f.name: getattr(self, f.name) for f in fields(JudgeConfig)})

    @property
    def study(self) -> str:
        """The study's name."""
        if self.study_name is not None:
            return self.study_name
        return safe_name(f"{_last_part(self.target_model)}-{_last_part(self.bench_name)}")

    @property
    def run_folder(self) -> Path:
        """The folder of the run's results."""
        return Path(self.run_dir) if self.run_dir is not None else Path("runs") / safe_name(self.study)

    @property
    def storage_url(self) -> str:
        """The storage the study is journalled in."""
        return self.storage if self.storage is not None else f"sqlite:///{self.run_folder / 'study.db'}"

    @property
    def model_folder(self) -> Path:
        """The folder the best model is written to."""
        return Path(self.output_dir) if self.output_dir is not None else self.run_folder / "model"


def options() -> dict[str, tuple[Option, Any]]:
    """Every setting: key to (how it is written, its default or `MISSING`)."""
    return {f.name: (f.metadata["option"], f.default) for f in fields(RunConfig)}


def load_config(
    flags: Mapping[str, Any], file: Path | None = None, defaults: Mapping[str, Any] | None = None
) -> RunConfig:
    """Settings from flags, a TOML file and defaults; the first that names a key decides.

    Args:
        flags: Values given on the command line; None stands for not given.
        file: A `run.toml` with the same keys.
        defaults: Values that stand in for `RunConfig`'s own defaults.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type or range.
    """
    settings = dict(defaults or {})
    if file is not None:
        settings |= _read_toml(file)
    settings |= {key: value for key, value in flags.items() if value is not None}
    missing = [key for key, (_, default) in options().items() if default is MISSING and key not in settings]
    if missing:
        flags_text = ", ".join(f"--{key.replace('_', '-')}" for key in missing)
        raise ConfigError(f"missing: {flags_text} (as a flag, or as a key of the file given with --config)")
    return RunConfig(**settings)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    known = options()
    normal = {key.replace("-", "_"): value for key, value in data.items()}
    unknown = [key for key in normal if key not in known]
    if unknown:
        raise ConfigError(f"{file}: unknown key {', '.join(unknown)}; known: {', '.join(known)}")
    return {key: _checked(file, key, value, known[key][0]) for key, value in normal.items()}


def _checked(file: Path, key: str, value: Any, option: Option) -> Any:
    if option.many:
        items = value if isinstance(value, list) else [value]
        return tuple(_scalar(file, key, item, option) for item in items)
    return _scalar(file, key, value, option)


def _scalar(file: Path, key: str, value: Any, option: Option) -> Any:
    if option.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not option.kind:
        raise ConfigError(
            f"{file}: {key} must be {option.kind.__name__}, got {type(value).__name__} {value!r}"
        )
    if option.choices and value not in option.choices:
        raise ConfigError(f"{file}: {key} must be one of {', '.join(option.choices)}, got {value!r}")
    return value


def _last_part(reference: str) -> str:
    return re.split(r"[\\/]", reference.rstrip("\\/").split("@")[0])[-1] or "model"
