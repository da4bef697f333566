"""Names of floating-point dtypes in safetensors headers, configurations and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
    "C64": 8,
}
"""Bytes per element, by safetensors code."""

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""Codes of the dtypes a weight may have; floats of 8 bits or less need scales and count as quantised."""

_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
_CODES = {name: code for code, name in _TORCH_NAMES.items()}


def torch_name(code: str) -> str:
    """Return torch's name of a safetensors dtype code, such as `bfloat16` for `BF16`."""
    return _TORCH_NAMES[code]


def torch_dtype(code: str) -> torch.dtype:
    """Return the torch dtype of a safetensors dtype code."""
    import torch

    dtype = getattr(torch, _TORCH_NAMES[code])
    assert isinstance(dtype, torch.dtype)
    return dtype


def code_of(dtype: torch.dtype) -> str:
    """Return the safetensors code of a torch dtype, or the dtype's name if safetensors has none."""
    name = str(dtype).removeprefix("torch.")
    return _CODES.get(name, name)
