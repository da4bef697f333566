"""Writes a merged model as transformers would: safetensors shards and the target's other files."""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import write_fault, write_json, write_text
from tvmerge._version import __version__
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.contents import companions
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.dtypes import BYTES, code_of, torch_dtype
from tvmerge.merging.export.config_file import drop_untrusted_code, write_config
from tvmerge.merging.export.folders import MARKER, check_replaceable
from tvmerge.merging.export.replacement import new_folder, sync
from tvmerge.merging.kernels.stream import TensorStream
from tvmerge.merging.overflow import check_written

if TYPE_CHECKING:
    import torch

    from tvmerge.merging.checkpoints.checkpoint import Checkpoint

SHARD_SIZE = 5 * 10**9
"""Maximum number of bytes of tensors per file; transformers' default for years."""

_BLOCK = 2**20

_ALIGNMENT = 8
"""The data of a safetensors file starts at a multiple of this number of bytes."""


def write_model(
    folder: Path,
    stream: Iterator[tuple[str, torch.Tensor]],
    target: Checkpoint,
    *,
    specs: Mapping[str, TensorSpec],
    provenance: Mapping[str, object],
    config: Mapping[str, Any] | None = None,
    owner: str | None = None,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sources: Iterable[Path] = (),
    texts: Mapping[str, str] | None = None,
    finite: Collection[str] = (),
    protect: Callable[[], None] = lambda: None,
) -> None:
    """Write a model atomically; the tensors of a `TensorStream` are written directly to the files.

    Args:
        folder: The folder to write; replaced only if `folders.check_replaceable` allows it.
        stream: Pairs (name, tensor), in any order, on the CPU.
        target: The model that gives everything except weights: configuration, tokenizer, processor,
            templates.
        specs: Shape and dtype of the stream's tensors, in the order of the files; from the merger.
        provenance: JSON data for `tvmerge.json`: recipe, sources, digests.
        config: Content of `config.json`, if it is not the target's.
        owner: The study's identity; a model of the same owner is replaced.
        overwrite: Whether to replace the folder's contents, except source models.
        shard_size: Maximum number of bytes of tensors per file (a larger tensor gets its own file).
        sources: Folders, besides the target's, that must not be replaced.
        texts: Further files to write, by name (the model card).
        finite: The tensors whose numbers must be finite.
        protect: Raises if the folder holds something else that must stay; called as long as it may change.

    Raises:
        CheckpointError: The folder may not be replaced, the disk is too full, a file cannot be written, the
            stream does not match `specs`, or a tensor of `finite` is not. Nothing is left on the disk then.
    """
    sources = (target.folder, *sources)

    def check() -> None:
        check_replaceable(folder, owner, overwrite=overwrite, sources=sources)
        protect()

    check()
    needed = sum(spec.nbytes for spec in specs.values())
    taken = companions(target.folder, code=target.trust_remote_code)
    check_space(folder, needed + sum(path.stat().st_size for path in taken))
    with _full_disk_told(folder, needed), new_folder(folder, check) as temporary:
        weights = plan_shards(specs, shard_size)
        write_shards(temporary, weights, stream, finite)
        if len(weights) > 1:
            write_json(temporary / layout.SAFETENSORS_INDEX, _index(weights, needed))
        _copy(taken, target.folder, temporary)
        write_config(temporary, target, specs, config)
        for name, text in (texts or {}).items():
            write_text(temporary / name, text)
        if not target.trust_remote_code:
            drop_untrusted_code(temporary)
        _mark(temporary, owner, provenance)


def _mark(folder: Path, owner: str | None, provenance: Mapping[str, object]) -> None:
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    marker = {"tvmerge": __version__, "owner": owner, "files": files, **provenance}
    write_json(folder / MARKER, marker)


def write_skeleton(
    folder: Path, target: Checkpoint, specs: Mapping[str, TensorSpec], config: Mapping[str, Any]
) -> None:
    """Write a model without its weights, for an engine that loads them later.

    Args:
        folder: An empty folder.
        target: See `write_model`.
        specs: See `write_model`.
        config: See `write_model`.
    """
    _copy(companions(target.folder, code=target.trust_remote_code), target.folder, folder)
    write_config(folder, target, specs, config)


def shard_sizes(specs: Mapping[str, TensorSpec], shard_size: int) -> list[int]:
    """Return the bytes of tensors in each file of a model with these tensors."""
    shards = plan_shards(specs, shard_size).values()
    return [sum(spec.nbytes for spec in shard.values()) for shard in shards]


def free_space(folder: Path) -> int:
    """Return the free bytes on the disk of `folder`, which may not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def plan_shards(specs: Mapping[str, TensorSpec], shard_size: int) -> dict[str, dict[str, TensorSpec]]:
    """Return the tensors of each file by its name, starting a new file when the next tensor does not fit."""
    shards: list[dict[str, TensorSpec]] = [{}]
    size = 0
    for name, spec in specs.items():
        if shards[-1] and size + spec.nbytes > shard_size:
            shards.append({})
            size = 0
        shards[-1][name] = spec
        size += spec.nbytes
    if len(shards) == 1:
        return {layout.SAFETENSORS: shards[0]}
    return {
        f"model-{number:05d}-of-{len(shards):05d}.safetensors": shard
        for number, shard in enumerate(shards, start=1)
    }


def write_shards(
    folder: Path,
    shards: Mapping[str, Mapping[str, TensorSpec]],
    stream: Iterator[tuple[str, torch.Tensor]],
    finite: Collection[str] = (),
) -> None:
    """Write tensors, which may come in any order, to the files that `plan_shards` planned.

    Args:
        folder: An existing folder.
        shards: The files and the tensors in each.
        stream: The names and tensors.
        finite: The tensors whose numbers must be finite.

    Raises:
        CheckpointError: The stream does not match `shards`, or a tensor of `finite` is not.
    """
    import torch

    memory: dict[str, torch.Tensor] = {}
    announced: dict[str, TensorSpec] = {}
    for file_name, specs in shards.items():
        header, positions = _header(specs)
        mapped = _map(folder / file_name, header, sum(spec.nbytes for spec in specs.values()))
        announced |= specs
        memory |= {
            name: mapped[len(header) + at : len(header) + at + specs[name].nbytes]
            for name, at in positions.items()
        }

    def offer(name: str, shape: tuple[int, ...]) -> torch.Tensor | None:
        spec = announced.get(name)
        if spec is None or spec.shape != shape or memory[name].storage_offset() % BYTES[spec.dtype]:
            return None
        return memory[name].view(torch_dtype(spec.dtype)).view(shape)

    for name, tensor in stream.into(offer) if isinstance(stream, TensorStream) else stream:
        spec = announced.pop(name, None)
        if spec is None:
            raise CheckpointError(f"the merge yielded '{name}' twice or without declaring it")
        if TensorSpec(tuple(tensor.shape), code_of(tensor.dtype)) != spec:
            raise CheckpointError(
                f"the merge declared '{name}' as {spec}, but yielded another shape or dtype"
            )
        if name in finite:
            check_written(name, tensor)
        if tensor.data_ptr() != memory[name].data_ptr():
            memory[name].copy_(tensor.detach().contiguous().reshape(-1).view(torch.uint8))
    if announced:
        raise CheckpointError(f"the merge did not produce {', '.join(announced)}")
    memory.clear()
    for file_name in shards:
        sync(folder / file_name)


def _map(path: Path, header: bytes, size: int) -> torch.Tensor:
    """Create a file of header and `size` bytes, mapped into shared memory.

    The disk's blocks are allocated first, since a full disk cannot be reported through memory.
    """
    import torch

    with path.open("w+b") as file:
        file.write(header)
        file.flush()
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), len(header), size)
        for _ in range(0 if hasattr(os, "posix_fallocate") else size // _BLOCK + 1):
            file.write(bytes(min(_BLOCK, len(header) + size - file.tell())))
        file.flush()
        return torch.frombuffer(mmap.mmap(file.fileno(), 0), dtype=torch.uint8)


def _header(specs: Mapping[str, TensorSpec]) -> tuple[bytes, dict[str, int]]:
    """Return a safetensors header and the offset of each tensor in the data after it."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    positions: dict[str, int] = {}
    end = 0
    for name, spec in specs.items():
        begin, end = end, end + spec.nbytes
        positions[name] = begin
        entries[name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, positions


def _index(shards: Mapping[str, Mapping[str, TensorSpec]], size: int) -> dict[str, object]:
    weight_map = {name: file for file, specs in shards.items() for name in specs}
    return {"metadata": {"total_size": size}, "weight_map": weight_map}


def _copy(files: Iterable[Path], root: Path, folder: Path) -> None:
    for path in files:
        destination = folder / path.relative_to(root)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def check_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes are free on the disk of `folder`, which may not exist yet.

    Raises:
        CheckpointError: The disk is too full.
    """
    free = free_space(folder)
    if free < needed:
        raise CheckpointError(f"{folder}: the model needs {_size(needed)}, the disk has {_size(free)} free")


@contextmanager
def _full_disk_told(folder: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise CheckpointError(f"{folder}: the disk is full; the model needs {_size(needed)}") from error
        raise CheckpointError(f"{folder}: {write_fault(error)}") from error


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 10**7 else f"{count / 1e3:.0f} kB"
