"""Whether a checkpoint's weights are quantised, told by its tensors; its `config.json` may say what was once.

Fine-tunes of a model that was quantised for training are merged back into floats, and their `config.json`
keeps the settings. So what counts is in the files: number formats that need scales, and what the methods
store beside or in place of a weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.dtypes import BYTES, FLOATS

SETTINGS = ("quantization_config", "compression_config")
"""Keys of `config.json` that say how weights are quantised."""

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
"""What a method leaves in a checkpoint, by the ends of the tensors' names."""

_SMALL_FLOATS = re.compile(r"(F|float)(?P<bits>[468])_?")
"""Formats that only mean something with a scale, as safetensors and torch spell them."""


def declared(config: Mapping[str, Any]) -> str | None:
    """The quantisation method in a `config.json`; None if it names none."""
    parts = (config, config.get("text_config"))
    for part in parts:
        for key in SETTINGS:
            settings = part.get(key) if isinstance(part, Mapping) else None
            if settings:
                method = settings.get("quant_method") if isinstance(settings, Mapping) else settings
                return str(method or "a method without a name")
    return None


def without_marks(config: Mapping[str, Any]) -> dict[str, Any]:
    """A `config.json` without what it says of quantisation."""
    kept = {key: value for key, value in config.items() if key not in SETTINGS}
    text = kept.get("text_config")
    if isinstance(text, Mapping):
        kept["text_config"] = {key: value for key, value in text.items() if key not in SETTINGS}
    return kept


def method_of_names(names: Iterable[str]) -> str | None:
    """The method whose traces are among the names of tensors; None where there are none."""
    known = set(names)
    for method, ends in _TRACES:
        if any(re.search(ends, name) for name in known):
            return method
    if any(f"{name.removesuffix('_blocks')}_scales" in known for name in known if name.endswith("_blocks")):
        return "mxfp4"
    return None


def method_of(specs: Mapping[str, TensorSpec]) -> str | None:
    """The method by which tensors are quantised; None where all weights are floats."""
    method = method_of_names(specs)
    if method is not None:
        return method
    for name, spec in specs.items():
        if spec.dtype not in BYTES and (small := _SMALL_FLOATS.match(spec.dtype)):
            return f"fp{small['bits']}"
        if name.endswith("weight") and spec.dtype not in FLOATS and len(spec.shape) > 1:
            return f"integers in {spec.dtype}"
    return None
