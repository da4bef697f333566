"""Detects quantised weights from a checkpoint's tensors, since its `config.json` may be outdated.

Fine-tuned models that were quantised for training are merged back into floats, but their `config.json` keeps
the quantisation settings. So the tensors decide: dtypes that need scales, and tensors that the methods store
in addition to or instead of a weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.dtypes import BYTES, FLOATS

SETTINGS = ("quantization_config", "compression_config")
"""Keys of `config.json` with quantisation settings."""

_TRACES: tuple[tuple[str, str], ...] = (
    (
        "bitsandbytes",
        r"\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*|SCB|weight_format)$",
    ),
    ("gptq", r"\.g_idx$"),
    ("gptq or awq", r"\.(qweight|qzeros)$"),
    ("exl2", r"\.(q_weight|q_invperm|q_scale|q_scale_max)$"),
    ("exl3", r"\.(trellis|suh|svh)$"),
    ("aqlm", r"\.(codebooks|codes)$"),
    ("hqq", r"\.W_q$"),
    ("quanto", r"\.weight\._(data|scale)$"),
    ("compressed-tensors", r"\.weight_(packed|shape|zero_point|global_scale|g_idx)$"),
    ("fp8", r"_scale_inv$"),
    ("torchao", r"_weight_(qdata|scale|zero_point)$"),
    ("weights with scales", r"\.weight_scales?(_2)?$"),
)
"""Suffixes of the names of tensors that quantisation methods store."""

_SMALL_FLOATS = re.compile(r"(F|float)(?P<bits>[468])_?")
"""Dtypes that need a scale, by their names in safetensors and torch."""


def declared(config: Mapping[str, Any]) -> str | None:
    """Return the quantisation method in a `config.json`; None if it has none."""
    parts = (config, config.get("text_config"))
    for part in parts:
        for key in SETTINGS:
            settings = part.get(key) if isinstance(part, Mapping) else None
            if settings:
                method = settings.get("quant_method") if isinstance(settings, Mapping) else settings
                return str(method or "an unnamed method")
    return None


def without_marks(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `config.json` without quantisation settings."""
    kept = {key: value for key, value in config.items() if key not in SETTINGS}
    text = kept.get("text_config")
    if isinstance(text, Mapping):
        kept["text_config"] = {key: value for key, value in text.items() if key not in SETTINGS}
    return kept


def method_of_names(names: Iterable[str]) -> str | None:
    """Return the quantisation method recognized by the names of tensors, or None."""
    known = set(names)
    for method, ends in _TRACES:
        if any(re.search(ends, name) for name in known):
            return method
    if any(f"{name.removesuffix('_blocks')}_scales" in known for name in known if name.endswith("_blocks")):
        return "mxfp4"
    return None


def method_of(specs: Mapping[str, TensorSpec]) -> str | None:
    """Return the method by which tensors are quantised; None if all weights are floats."""
    method = method_of_names(specs)
    if method is not None:
        return method
    for name, spec in specs.items():
        if spec.dtype not in BYTES and (small := _SMALL_FLOATS.match(spec.dtype)):
            return f"fp{small['bits']}"
        if name.endswith("weight") and spec.dtype not in FLOATS and len(spec.shape) > 1:
            return f"integers in {spec.dtype}"
    return None
