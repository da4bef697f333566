"""Every setting of a run, declared once: its key in `run.toml`, its flag, its default and its meaning."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.files import safe_name

SQLITE = "sqlite:///"
"""What the URL of an SQLite storage begins with; the file's path follows."""

SAMPLERS = ("TPE", "CMA-ES")
JUDGE_MODES = ("single", "pairwise")
MODES = ("all", "layer", "parameter", "block", "uniform", "regex")
METHODS = ("linear", "ties", "dare")
VOCABS = ("align", "skip", "error")
ARITHMETICS = ("float32", "original")
GATES = ("random", "zeros", "uniform", "hidden")
ENGINES = ("auto", "transformers", "vllm")
POOLS = ("local", "ray")
DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is written.

    Attributes:
        kind: Type of its value; a dict stands in the config file only and has no flag.
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
    text: str,
    default: Any = MISSING,
    *,
    choices: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    many: bool = False,
) -> Any:
    option = Option(kind, text, choices, aliases, many)
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeConfig:
    """The settings that decide what is merged; a study keeps them, so that any trial can be merged again."""

    target_model: tuple[str, ...]
    base_model: str | None = None
    tuned_model: str | None = None
    task_vectors: tuple[Mapping[str, Any], ...] = ()
    optimize_mode: str = "layer"
    layer_granularity: int = 1
    smooth: int | None = None
    patterns: tuple[Mapping[str, Any], ...] = ()
    freeze: tuple[str, ...] = ()
    method: str = "linear"
    density: tuple[float, ...] = ()
    vocab: str = "align"
    arithmetic: str = "float32"
    merge_seed: int = 0
    experts_per_token: int = 2
    gate: str = "random"
    moe_base: str | None = None
    experts: tuple[Mapping[str, Any], ...] = ()
    dtype: str = "auto"
    cache_dir: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        # Plain data comes back from a study or another process with lists for tuples.
        for f in fields(self):
            value: Any = getattr(self, f.name)
            if isinstance(value, list):
                object.__setattr__(self, f.name, tuple(value))


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
    parallel: int | None = None
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

    target_model: tuple[str, ...] = _option(
        str,
        "Model the task vector is added to: a folder or a hub id[@revision]; several make a mixture.",
        aliases=tuple(f"target-model-{number}" for number in range(1, 5)),
        many=True,
    )
    base_model: str | None = _option(
        str, "Model the tuned model was tuned from; an adapter names its own.", None
    )
    tuned_model: str | None = _option(
        str, "Model that has the skill, or a LoRA adapter; the task vector is tuned - base.", None
    )
    task_vectors: tuple[Mapping[str, Any], ...] = _option(
        dict, "Several task vectors: tables with tuned, base, name and settings of their own.", (), many=True
    )
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
    parallel: int | None = _option(
        int, "Judgments in flight at once; default: as the judge's file says, or 1.", None
    )
    weight_min: float = _option(float, "Smallest weight.", 0.0)
    weight_max: float = _option(float, "Largest weight.", 2.0)
    optimize_mode: str = _option(
        str,
        "What shares a weight: nothing, a layer, a parameter kind, an attention or MLP block, everything, or "
        "what [[patterns]] name.",
        "layer",
        choices=MODES,
    )
    layer_granularity: int = _option(int, "Consecutive layers that share a weight.", 1)
    smooth: int | None = _option(
        int, "Knots between which the layers' weights are interpolated; default: none.", None
    )
    patterns: tuple[Mapping[str, Any], ...] = _option(
        dict, "For optimize_mode regex: tables with name and pattern.", (), many=True
    )
    freeze: tuple[str, ...] = _option(
        str, "Regular expression; tensors in whose names it is found stay the target's.", (), many=True
    )
    method: str = _option(
        str, "How the task vector is made sparse before it is added.", "linear", choices=METHODS
    )
    density: tuple[float, ...] = _option(
        float, "Share of elements that stays, or two bounds to search it; for ties and dare.", (), many=True
    )
    vocab: str = _option(
        str,
        "Where tokens differ: add to rows of shared tokens, to none, or refuse.",
        "align",
        choices=VOCABS,
    )
    arithmetic: str = _option(
        str,
        "Sum in float32, or in the original script's bfloat16 order.",
        "float32",
        choices=ARITHMETICS,
    )
    merge_seed: int = _option(int, "Seed of what dare drops and of random gates.", 0)
    experts_per_token: int = _option(int, "Experts that see each token of a mixture.", 2)
    gate: str = _option(str, "How a mixture's router is made.", "random", choices=GATES)
    moe_base: str | None = _option(
        str, "Model that gives a mixture's attention and embeddings; default: the first target.", None
    )
    experts: tuple[Mapping[str, Any], ...] = _option(
        dict, "For gate hidden: tables with positive and negative prompts, one an expert.", (), many=True
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
    engine: str = _option(str, "What the models run on; auto: transformers.", "auto", choices=ENGINES)
    engines: int = _option(int, "Models answering at once; more than one run in processes of their own.", 1)
    devices: tuple[str, ...] = _option(
        str, "Devices of the engines, such as cuda:0,cuda:1; default: --device for each.", (), many=True
    )
    pool: str = _option(str, "Where engines run: here or on a Ray cluster.", "local", choices=POOLS)
    ray_address: str | None = _option(str, "Address of the Ray cluster; default: one of this machine.", None)
    truncate: bool = _option(bool, "Cut conversations that do not fit the context, from their start.", False)
    trace: str | None = _option(str, "File for a trace of the run's stages, in Chrome's format.", None)
    device: str = _option(str, "auto, cpu, cuda or cuda:N.", "auto")
    dtype: str = _option(str, "Type of the merged tensors; auto: the target's.", "auto", choices=DTYPES)
    study_name: str | None = _option(str, "Name of the study; default: <target>-<benchmark>.", None)
    storage: str | None = _option(str, "Optuna storage URL; default: sqlite:///<run-dir>/study.db.", None)
    run_dir: str | None = _option(str, "Folder of the run's results; default: runs/<study-name>.", None)
    output_dir: str | None = _option(str, "Folder of the merged model; default: <run-dir>/model.", None)
    shard_size: float = _option(float, "Gigabytes of tensors in one file of the written model, at most.", 5.0)
    save_experts: bool = _option(bool, "Write a mixture's experts too, as dense models.", False)
    push_to_hub: str | None = _option(str, "Hub repository (owner/name) to upload the model to.", None)
    overwrite: bool = _option(bool, "Replace whatever is in the output folder.", False)
    cache_dir: str | None = _option(str, "Where models from the hub are downloaded to.", None)
    assets: str | None = _option(str, "Folder with judges/, benchmarks/ and prompts/ of your own.", None)
    allow_pickle: bool = _option(bool, "Accept checkpoints without safetensors.", False)
    trust_remote_code: bool = _option(bool, "Run code that comes with a model.", False)
    grace: float = _option(float, "Seconds to wait for paid judgments after Ctrl-C.", 30.0)

    def __post_init__(self) -> None:
        _ = self.judging  # checks its own settings
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{f.name} must be finite, got {value}")
        if self.grace < 0:
            raise ConfigError(f"grace must not be negative, got {self.grace:g}")
        outside = [w for w in self.uniform_weights if not self.weight_min <= w <= self.weight_max]
        if outside:
            raise ConfigError(f"uniform_weights must lie in the range of the weights, got {outside[0]:g}")
        for name in ("n_trials", "trials_in_flight", "max_new_tokens", "batch_tokens", "engines"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("holdout", "min_coverage"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {value:g}")
        if self.holdout == 1:
            raise ConfigError("holdout 1 leaves no question to search with")
        if bool(self.task_vectors) == (self.tuned_model is not None):
            raise ConfigError("give --tuned-model and --base-model, or [[task_vectors]] in the config file")
        if not self.shard_size > 0:
            raise ConfigError(f"shard_size must be larger than 0, got {self.shard_size:g}")
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
        return safe_name(f"{_last_part(self.target_model[0])}-{_last_part(self.bench_name)}")

    @property
    def run_folder(self) -> Path:
        """The folder of the run's results."""
        return Path(self.run_dir) if self.run_dir is not None else Path("runs") / safe_name(self.study)

    @property
    def storage_url(self) -> str:
        """The storage the study is journalled in."""
        return self.storage if self.storage is not None else f"{SQLITE}{self.run_folder / 'study.db'}"

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
    _refuse_missing([key for key, (_, default) in options().items() if default is MISSING], settings)
    return RunConfig(**settings)


def load_merge_config(flags: Mapping[str, Any], file: Path | None = None) -> MergeConfig:
    """The settings that decide what is merged, from flags and a run's TOML file; flags win.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type.
    """
    known = {f.name for f in fields(MergeConfig)}
    settings = {} if file is None else {k: v for k, v in _read_toml(file).items() if k in known}
    settings |= flags
    _refuse_missing(("target_model",), settings)
    return MergeConfig(**settings)


def _refuse_missing(needed: Sequence[str], settings: Mapping[str, Any]) -> None:
    if "task_vectors" not in settings:
        needed = (*needed, "tuned_model")  # an adapter names its base itself
    missing = [f"--{key.replace('_', '-')}" for key in needed if key not in settings]
    if missing:
        named = ", ".join(missing)
        raise ConfigError(f"missing: {named} (as a flag, or as a key of the file given with --config)")


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
