"""Reads an adapter's configuration: whether it can be added, and the scale of its factors."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import ADAPTER_CONFIG
from tvmerge.merging.expressions import fault_of, in_time

KINDS = {
    "alora_invocation_tokens": "aLoRA, which works from its invocation tokens on only",
    "arrow_config": "Arrow, which chooses among adapters for each token",
    "kasa_config": "KaSA, which cuts singular values off the base model",
    "layer_replication": "layer replication, which builds a model of other layers",
    "megatron_config": "Megatron layers",
    "monteclora_config": "MonteCLoRA, whose factors are drawn at random",
    "use_bdlora": "BD-LoRA, whose factors are block-diagonal",
    "use_qalora": "QA-LoRA, which pools its inputs",
    "velora_config": "VeLoRA, which compresses what it learns from",
}
"""Keys of `adapter_config.json` of other kinds of adapters, and the names of these kinds."""

INNOCENT_STARTS = frozenset({"none", "true", "false", "gaussian", "eva", "orthogonal", "mica"})
"""Initialisations that leave the base model unchanged; others subtract the initial factors from it."""

KNOWN = frozenset(
    {
        # Settings of training, whose effect is in the weights.
        *(
            "auto_mapping",
            "corda_config",
            "eva_config",
            "exclude_modules",
            "inference_mode",
            "layers_pattern",
        ),
        *("layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core"),
        *("peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules", "task_type"),
        *("ensure_weight_tying", "modules_to_tie", "target_modules_to_tie"),
        # Read here, or implied by the names in the file.
        *("alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "init_lora_weights"),
        *("lora_alpha", "lora_bias", "modules_to_save", "peft_type", "r", "rank_pattern"),
        *("target_parameters", "trainable_token_indices", "use_dora", "use_rslora"),
    }
)
"""Keys of `adapter_config.json` that are supported or do not affect a trained adapter."""


def check_adapter_config(config: Mapping[str, Any], name: str) -> None:
    """Check that an adapter can be added to its base, as far as its configuration shows.

    Args:
        config: Content of `adapter_config.json`.
        name: The adapter's name.

    Raises:
        CheckpointError: It is of another kind, or has unknown settings or invalid values.
    """
    kind = config.get("peft_type")
    if kind is None:
        raise CheckpointError(
            f"{name}: its {ADAPTER_CONFIG} has no peft_type; only adapters of peft's are read"
        )
    if kind != "LORA":
        raise CheckpointError(
            f"{name}: is an adapter of type {kind}; only LoRA and DoRA can be added; if peft can merge it "
            "into its base, do so and pass the result"
        )
    odd = [meaning for key, meaning in KINDS.items() if config.get(key)]
    start = str(config.get("init_lora_weights")).lower()
    if start not in INNOCENT_STARTS:
        odd.append(f"a base model changed by its initialisation ({start})")
    unknown = sorted(key for key, value in config.items() if value and key not in KNOWN and key not in KINDS)
    odd += [f"{key}, which is not known here" for key in unknown]
    if odd:
        raise CheckpointError(
            f"{name}: uses {', and '.join(odd)}; only plain LoRA and DoRA can be added; if peft can "
            "merge it into its base, do so and pass the result"
        )
    _check_types(config, name)
    _check_scales(config, name)
    _check_tokens(config.get("trainable_token_indices") or [], name)


def adapter_scales(config: Mapping[str, Any], modules: Collection[str], name: str) -> Mapping[str, float]:
    """Return the factor of B·A by module; see `adapter_scale`.

    Raises:
        CheckpointError: The patterns of ranks and alphas take too long.
    """
    if not (config.get("rank_pattern") or config.get("alpha_pattern")):
        return {module: adapter_scale(config, module) for module in modules}
    what = f"{name}: rank_pattern or alpha_pattern in its {ADAPTER_CONFIG}"
    return in_time(
        lambda: {module: adapter_scale(config, module) for module in modules}, what, CheckpointError
    )


def adapter_scale(config: Mapping[str, Any], module: str) -> float:
    """Return the factor of B·A for one module, by peft's rules for module-specific ranks and alphas."""
    rank = _own(config.get("rank_pattern"), module, config.get("r"))
    alpha = _own(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def trained_tokens(config: Mapping[str, Any], module: str) -> tuple[int, ...]:
    """Return the rows of a module that an adapter trains one by one, in the order of its file."""
    given = config.get("trainable_token_indices") or ()
    if isinstance(given, Mapping):
        given = next((rows for name, rows in given.items() if f".{module}".endswith(f".{name}")), ())
    return tuple(int(row) for row in given)


def _check_types(config: Mapping[str, Any], name: str) -> None:
    """Check the types of what is read from the configuration besides scales, tokens and switches."""
    kinds = {"modules_to_save": list, "target_parameters": list, "base_model_name_or_path": str}
    for key, kind in kinds.items():
        if not isinstance(config.get(key) or kind(), kind):
            raise CheckpointError(
                f"{name}: {key} in its {ADAPTER_CONFIG} is of a kind that peft does not write: "
                f"{config[key]!r:.60}"
            )


def _check_scales(config: Mapping[str, Any], name: str) -> None:
    patterns = {key: config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")}
    for key, found in patterns.items():
        if not isinstance(found, dict):
            raise CheckpointError(f"{name}: {key} in its {ADAPTER_CONFIG} must be a table; got {found!r:.60}")
    ranks = [config.get("r"), *patterns["rank_pattern"].values()]
    alphas = [config.get("lora_alpha"), *patterns["alpha_pattern"].values()]
    if not all(type(rank) is int and rank > 0 for rank in ranks):
        raise CheckpointError(
            f"{name}: ranks in its {ADAPTER_CONFIG} must be whole numbers above 0; got {ranks}"
        )
    if not all(type(alpha) in {int, float} for alpha in alphas):
        raise CheckpointError(f"{name}: alphas in its {ADAPTER_CONFIG} must be numbers; got {alphas}")
    for key, found in patterns.items():
        for pattern in found:
            if fault := fault_of(pattern):
                raise CheckpointError(f"{name}: {key} {pattern!r:.200} is not a regular expression: {fault}")


def _check_tokens(given: object, name: str) -> None:
    for rows in given.values() if isinstance(given, dict) else (given,):
        if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
            raise CheckpointError(
                f"{name}: trainable_token_indices in its {ADAPTER_CONFIG} must be lists of ids of tokens; "
                f"got {rows!r:.60}"
            )


def _own(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
