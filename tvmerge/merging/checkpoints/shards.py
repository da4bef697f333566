"""A file of weights: shapes and dtypes of its tensors from the header, tensors on demand.

The safetensors format: 8 bytes with the header's length (little endian), the header (JSON: tensor name ->
dtype, shape, [begin, end] in the data), then the data without gaps.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tvmerge._util.parsing import parse_strict_json
from tvmerge._util.regular import open_regular
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import refuse_pointers
from tvmerge.merging.dtypes import BYTES, code_of

if TYPE_CHECKING:
    import torch

_HEADER_LIMIT = 100_000_000
"""Maximum size of a header in bytes, as in the safetensors library."""

_DIMENSIONS = 64
"""Maximum number of dimensions of a tensor, as in torch."""

_EMPTY = 1000
"""Maximum number of tensors without numbers, which take a file no room but a merge time."""

_SHOWN = 100
"""Number of characters of a wrong entry in a message."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The shape and dtype of a tensor.

    Attributes:
        shape: Its dimensions; empty for a scalar.
        dtype: Its dtype in safetensors' notation (`BF16`, `F32`, `I64`, ...).
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.numel * BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a tensor lies in a file, byte for byte as it is in memory.

    Attributes:
        path: The file.
        start: Its first byte.
        size: How many bytes it takes.
    """

    path: Path
    start: int
    size: int


class Shard(Protocol):
    """A file with tensors."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and dtype of its tensors, in the order of the file."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name`, which may share memory with the file and must not be modified."""

    def extent(self, name: str) -> Extent | None:
        """Where the tensor `name` lies in the file; None where it is stored in another way."""


class SafetensorsShard:
    """A memory-mapped safetensors file.

    Args:
        path: The file; its header is read and checked at once.

    Raises:
        CheckpointError: The file cannot be read, is truncated, or its header is invalid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._extents: Mapping[str, Extent]
        self.specs: Mapping[str, TensorSpec]
        self.specs, self._extents = _read_header(path)

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name`, read from the mapped file."""
        tensor: torch.Tensor = self._file.get_tensor(name)
        return tensor

    def extent(self, name: str) -> Extent | None:
        """Where the tensor `name` lies in the file."""
        return self._extents[name]

    @cached_property
    def _file(self) -> Any:
        from safetensors import SafetensorError, safe_open

        try:
            return safe_open(self.path, framework="pt", device="cpu")
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.path}: cannot be opened as safetensors: {error}") from error


class PickleShard:
    """A `pytorch_model.bin`, loaded without running code in the pickle.

    Args:
        path: The file; read at once, memory-mapped if its format allows.

    Raises:
        CheckpointError: The file cannot be read, or contains anything other than tensors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tensors = _load_pickle(path)
        self.specs: Mapping[str, TensorSpec] = {
            name: TensorSpec(tuple(tensor.shape), code_of(tensor.dtype))
            for name, tensor in self._tensors.items()
        }

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name`."""
        return self._tensors[name]

    def extent(self, name: str) -> Extent | None:
        """Unknown: a pickle keeps its tensors within an archive."""
        return None


def _read_header(path: Path) -> tuple[dict[str, TensorSpec], dict[str, Extent]]:
    """What the file holds, and where."""
    refuse_pointers([path])
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _HEADER_LIMIT):
                raise CheckpointError(
                    f"{path}: not a safetensors file, or truncated ({size} bytes); download it again"
                )
            entries = _entries(parse_strict_json(file.read(length).decode("utf-8")))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(
            f"{path}: its safetensors header is damaged: {error}; download it again"
        ) from error
    data = 8 + length
    end = data + max((last for _, (_, last) in entries.values()), default=0)
    if end != size:
        raise CheckpointError(f"{path}: has {size} bytes where its header promises {end}; download it again")
    extents = {name: Extent(path, data + first, last - first) for name, (_, (first, last)) in entries.items()}
    return {name: spec for name, (spec, _) in entries.items()}, extents


def _entries(header: object) -> dict[str, tuple[TensorSpec, tuple[int, int]]]:
    """Return each tensor's spec, and its first byte and the one after its last in the data.

    Raises:
        ValueError: The header is not that of a safetensors file.
    """
    if not (
        isinstance(header, dict)
        and isinstance(metadata := header.pop("__metadata__", {}), dict)
        and all(isinstance(value, str) for value in metadata.values())
    ):
        raise ValueError("it must be a JSON object whose metadata are texts")
    entries = {name: _entry(name, given) for name, given in header.items()}
    _check_sizes(entries)
    return entries


def _entry(name: str, given: object) -> tuple[TensorSpec, tuple[int, int]]:
    match given:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if (
            dtype.isidentifier() and len(shape) <= _DIMENSIONS and all(map(_is_size, (*shape, begin, end)))
        ):
            return TensorSpec(tuple(shape), dtype), (begin, end)
    raise ValueError(f"{name!r:.{_SHOWN}} is {given!r:.{_SHOWN}}")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _check_sizes(entries: Mapping[str, tuple[TensorSpec, tuple[int, int]]]) -> None:
    """Check that tensors take their bytes, and lie one behind the other without gaps."""
    empty = sum(begin == end for _, (begin, end) in entries.values())
    if empty > _EMPTY:
        raise ValueError(f"{empty:,} tensors have no numbers")
    expected = 0
    for (begin, end), name in sorted((span, name) for name, (_, span) in entries.items()):
        if begin != expected or end < begin:
            raise ValueError(
                f"{name!r:.{_SHOWN}} lies at {begin} to {end}, but what is before it ends at {expected}"
            )
        expected = end
        spec, _ = entries[name]
        if spec.dtype in BYTES and end - begin != spec.nbytes:
            raise ValueError(
                f"{name!r:.{_SHOWN}} has {end - begin} bytes, {spec.dtype} and shape {spec.shape!r:.{_SHOWN}}"
            )


def _load_pickle(path: Path) -> dict[str, torch.Tensor]:
    import torch

    refuse_pointers([path])
    _check_readable(path)
    try:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the format before torch 1.6 cannot be memory-mapped
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises all kinds of errors
        raise CheckpointError(
            f"{path}: cannot be loaded as a pickle of tensors only: {_why_not_loaded(error)}; download it "
            "again, or convert it to safetensors where you trust it"
        ) from error
    if not isinstance(loaded, dict) or not all(map(_is_named_tensor, loaded.items())):
        raise CheckpointError(
            f"{path}: contains something other than named tensors with all their numbers; convert it to "
            "safetensors"
        )
    return {name: tensor.detach() for name, tensor in loaded.items()}


def _check_readable(path: Path) -> None:
    try:
        open_regular(path).close()  # torch would wait for a pipe
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _is_named_tensor(item: tuple[object, object]) -> bool:
    """Return whether a name and a value are those of a dense tensor in memory."""
    import torch

    name, value = item
    return (
        isinstance(name, str)
        and isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )


def _why_not_loaded(error: Exception) -> str:
    # torch's own text advises to load the pickle without restriction.
    if (named := re.search(r"\bGLOBAL (\S+)", str(error))) is not None:
        return f"it names {named[1]}"
    return "it takes more memory than there is" if isinstance(error, MemoryError) else "it is damaged"
