"""Estimates the memory of a local judge from its files, before it is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import open_regular
from tvmerge.errors import CheckpointError
from tvmerge.judging.spec import JudgeSpec

_FLOATS: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes per number, by safetensors' name of the type."""

_TYPES: Mapping[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes per number, by the name of the type in a judge file."""

_QUANTIZED: Mapping[str, float] = {"4bit": 0.5 + 4 / 64, "8bit": 1.0}
"""Bytes per quantized number: bitsandbytes' NF4 stores a float32 scale for every 64 numbers."""

_KEPT = ("embed", "lm_head")
"""Parts of the names of tensors that bitsandbytes does not quantize."""

_SPREAD = frozenset({"auto", "balanced", "balanced_low_0", "sequential"})
"""Device maps that spread a model over all devices."""

_LONGEST_HEADER = 100_000_000
"""Bytes of a header at most, as in the safetensors library."""


def weight_bytes(spec: JudgeSpec) -> int:
    """Return the bytes of a local judge's weights in memory; 0 if they are not on this machine (yet).

    Raises:
        CheckpointError: A file of weights is damaged.
    """
    folder = _folder(spec.model)
    if folder is None:
        return 0
    return sum(_file_bytes(path, spec) for path in folder.glob("model*.safetensors"))


def memory_by_device(spec: JudgeSpec, gpus: int) -> dict[str, int]:
    """Return the bytes that a local judge will take on each device, such as `cpu` or `cuda:0`.

    A model on several devices is assumed to be spread evenly.

    Args:
        spec: The judge.
        gpus: How many GPUs this machine has.
    """
    devices = _devices(spec, gpus)
    share = -(-weight_bytes(spec) // len(devices))
    return dict.fromkeys(devices, share) if share else {}


def _folder(model: str) -> Path | None:
    """Return the folder of a model's files, the user's or the hub's cache, or None if they are not here."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name, _, revision = model.partition("@")
    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision or None)
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None


def _file_bytes(path: Path, spec: JudgeSpec) -> int:
    try:
        with open_regular(path) as file:
            # Format: 8 bytes with the header's length, little endian, then the header as JSON.
            header = parse_json(file.read(min(int.from_bytes(file.read(8), "little"), _LONGEST_HEADER)))
        return sum(_loaded(name, header[name], spec) for name in header if name != "__metadata__")
    except (OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError) as error:
        raise CheckpointError(f"{path}: not a sound safetensors file: {error!r}") from error


def _loaded(name: str, tensor: Mapping[str, Any], spec: JudgeSpec) -> int:
    begin, end = map(int, tensor["data_offsets"])
    stored = _FLOATS.get(tensor["dtype"])
    if stored is None:  # already quantized, or integers: the size does not change
        return end - begin
    numbers = math.prod(map(int, tensor["shape"]))
    matrix = len(tensor["shape"]) == 2 and not any(part in name for part in _KEPT)
    each = _QUANTIZED.get(spec.quantization) if matrix else None
    return math.ceil(numbers * (each or _TYPES.get(spec.dtype, stored)))


def _devices(spec: JudgeSpec, gpus: int) -> list[str]:
    if isinstance(spec.device_map, Mapping):
        named = {str(device) for device in spec.device_map.values()}
    elif spec.device_map in _SPREAD:
        named = set(spec.max_memory) - {"cpu"} or {str(number) for number in range(gpus)}
    else:
        named = {spec.device_map}
    if not gpus:
        return ["cpu"]
    return sorted({_device(name) for name in named - {"disk"}}) or ["cpu"]


def _device(name: str) -> str:
    if name.isdigit():
        return f"cuda:{name}"
    return "cuda:0" if name == "cuda" else name
