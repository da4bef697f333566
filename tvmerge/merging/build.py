"""Opens the models of a merge from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tvmerge._util.suggest import unknown_names
from tvmerge.errors import ConfigError
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.request import ExpertPrompts, MergeRequest, MixtureSettings, TaskVector

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.merging.open import Merge
    from tvmerge.merging.request import Arithmetic, Gate, Vocabulary
    from tvmerge.merging.settings import MergeConfig

_RULES = ("optimize_mode", "layer_granularity", "smooth", "patterns", "freeze")
_VECTOR = ("tuned", "base", "name", "weight_min", "weight_max", "method", "density", *_RULES)
_TEXT: tuple[type, ...] = (str,)
_WHOLE: tuple[type, ...] = (int,)
_NUMBER: tuple[type, ...] = (int, float)
_LIST: tuple[type, ...] = (list, tuple)
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("tuned", "base", "name", "method", "optimize_mode", "pattern"), _TEXT),
    **dict.fromkeys(("layer_granularity", "smooth"), _WHOLE),
    **dict.fromkeys(("weight_min", "weight_max"), _NUMBER),
    **dict.fromkeys(("patterns", "freeze", "positive", "negative"), _LIST),
}
"""The types of values in tables; None stands for a key that is not given."""

_NAMES = {_TEXT: "a text", _WHOLE: "a whole number", _NUMBER: "a number", _LIST: "a list"}


def open_models(config: MergeConfig, caches: Caches, *, verify: bool = True, download: bool = True) -> Merge:
    """Open the models and check their metadata.

    Args:
        config: The settings of merging.
        caches: The caches with digests of model files.
        verify: Whether to read all weights once and reject NaN and infinities.
        download: Whether to download missing weights from the hub.

    Raises:
        CheckpointError: A model cannot be found or read, or the models do not fit together.
        ConfigError: Settings contradict each other or do not fit the models.
    """
    from tvmerge.merging.open import open_request

    cache_dir = None if config.cache_dir is None else Path(config.cache_dir)
    return open_request(
        merge_request(config),
        cache_dir=cache_dir,
        digest_cache=caches.digests,
        verify=verify,
        download=download,
    )


def resolved(config: MergeConfig, models: Merge) -> MergeConfig:
    """Return `config` with each model's commit or absolute folder, which stays valid elsewhere and later."""
    request = models.resolved
    vectors = tuple(
        {**table, "tuned": vector.tuned, "base": vector.base}
        for table, vector in zip(config.task_vectors, request.vectors, strict=False)
    )
    return replace(
        config,
        target_model=request.targets,
        base_model=None if vectors else request.vectors[0].base,
        tuned_model=None if vectors else request.vectors[0].tuned,
        task_vectors=vectors,
        moe_base=request.mixture.base,
    )


def merge_request(config: MergeConfig) -> MergeRequest:
    """Return the merge request of `config`.

    Raises:
        ConfigError: Settings contradict each other, or a table has an unknown key.
    """
    own = {key: getattr(config, key) for key in ("method", "density", *_RULES)}
    tables: list[Mapping[str, Any]] = list(config.task_vectors)
    if not tables:
        tables = [{"tuned": config.tuned_model, "base": config.base_model}]
    return MergeRequest(
        targets=config.target_model,
        vectors=tuple(_vector({**own, **table}) for table in tables),
        vocabulary=cast("Vocabulary", config.vocab),
        dtype=None if config.dtype == "auto" else config.dtype,
        arithmetic=cast("Arithmetic", config.arithmetic),
        seed=config.merge_seed,
        mixture=_mixture(config),
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
    )


def _vector(table: Mapping[str, Any]) -> TaskVector:
    _known("task_vectors", table, _VECTOR)
    if not table.get("tuned"):
        raise ConfigError("each of task_vectors needs a key 'tuned'")
    return TaskVector(
        tuned=table["tuned"],
        base=table.get("base"),
        name=table.get("name", ""),
        weight_min=table.get("weight_min"),
        weight_max=table.get("weight_max"),
        method=table["method"],
        density=_density(table["density"]),
        rules=GroupRules(
            mode=table["optimize_mode"],
            patterns=tuple(_pattern(pattern) for pattern in table["patterns"]),
            layer_granularity=table["layer_granularity"],
            knots=table["smooth"],
            freeze=tuple(table["freeze"]),
        ),
    )


def _pattern(table: Mapping[str, Any]) -> tuple[str, str]:
    _known("patterns", table, ("name", "pattern"))
    if len(table) < 2:
        raise ConfigError("each of [[patterns]] needs the keys 'name' and 'pattern'")
    return str(table["name"]), str(table["pattern"])


def _density(given: Any) -> float | tuple[float, float]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    if len(values) > 2 or not all(type(value) in {int, float} for value in values):
        raise ConfigError(f"density must be a number or two bounds to search between; got {given}")
    if len(values) == 2:
        return float(values[0]), float(values[1])
    return float(values[0]) if values else 1.0


def _mixture(config: MergeConfig) -> MixtureSettings:
    prompts = []
    for table in config.experts:
        _known("experts", table, ("positive", "negative"))
        positive, negative = (tuple(map(str, table.get(key, ()))) for key in ("positive", "negative"))
        prompts.append(ExpertPrompts(positive=positive, negative=negative))
    return MixtureSettings(
        experts_per_token=config.experts_per_token,
        gate=cast("Gate", config.gate),
        seed=config.merge_seed if len(config.target_model) > 1 else 0,
        base=config.moe_base,
        prompts=tuple(prompts),
    )


def _known(name: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    unknown = sorted(set(table) - set(keys))
    if unknown:
        raise ConfigError(f"{name}: unknown key {unknown_names(unknown, keys)}; known: {', '.join(keys)}")
    for key, value in table.items():
        _check_type(f"{name}: {key}", value, _TYPES.get(key), dict if key == "patterns" else str)


def _check_type(place: str, value: object, kinds: tuple[type, ...] | None, entries: type) -> None:
    if value is None or kinds is None:
        return
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ConfigError(f"{place} must be {_NAMES[kinds]}, got {value!r}")
    if isinstance(value, list | tuple) and not all(isinstance(item, entries) for item in value):
        kind = "tables" if entries is dict else "texts"
        raise ConfigError(f"{place} must be a list of {kind}, got {value!r}")
