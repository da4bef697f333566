"""A LoRA adapter in peft's format: the task vector of some tensors of its base."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.digests import DigestCache, files_digest
from tvmerge.merging.checkpoints.layout import ADAPTER_CONFIG, ADAPTER_PICKLE, ADAPTER_WEIGHTS, read_json
from tvmerge.merging.checkpoints.lora.assembly import assemble
from tvmerge.merging.checkpoints.lora.config import check_adapter_config
from tvmerge.merging.checkpoints.shards import PickleShard, SafetensorsShard, Shard

if TYPE_CHECKING:
    import torch

    from tvmerge.merging.checkpoints.checkpoint import Checkpoint
    from tvmerge.merging.checkpoints.lora.parts import Part
    from tvmerge.merging.checkpoints.shards import Extent, TensorSpec

_TOKENIZER = "tokenizer.json"


class Adapter:
    """A LoRA adapter of a base model.

    Args:
        folder: Folder with `adapter_config.json` and `adapter_model.safetensors`.
        base: The model it was trained on.
        name: Its name in messages and reports.
        allow_pickle: Whether to also read `adapter_model.bin`, restricted to tensors.
        digest_cache: The cache of files' digests.

    Attributes:
        parts: The adapter's part for each adapted tensor, by the base's name of it. A tied head has a
            separate part.
        rows: Number of rows of its embeddings and head; None if it has none, or only factors with the base's
            rows.

    Raises:
        CheckpointError: It cannot be read, does not fit `base`, or is of a kind that cannot be added.
    """

    def __init__(
        self,
        folder: Path,
        base: Checkpoint,
        name: str,
        *,
        allow_pickle: bool = False,
        digest_cache: DigestCache | None = None,
    ) -> None:
        self.folder, self.name, self.base, self.digest_cache = folder, name, base, digest_cache
        self.config = read_json(folder / ADAPTER_CONFIG)
        check_adapter_config(self.config, name)
        self._shard = _open(folder, name, allow_pickle=allow_pickle)
        self.parts: Mapping[str, Part]
        self.parts, self.rows = assemble(self, self.config, base)

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and dtype of every tensor of the file."""
        return self._shard.specs

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name` of the adapter's file."""
        return self._shard.tensor(name)

    def extent(self, name: str) -> Extent | None:
        """Where it lies in the file; None where it is stored in another way."""
        return self._shard.extent(name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over configuration and weights, and over the tokenizer where it says what rows mean."""
        files = [self._shard.path, self.folder / ADAPTER_CONFIG]
        if self.rows is not None and (self.folder / _TOKENIZER).is_file():
            files.append(self.folder / _TOKENIZER)
        return files_digest(self.folder, files, self.digest_cache)


def _open(folder: Path, name: str, *, allow_pickle: bool) -> Shard:
    if (folder / ADAPTER_WEIGHTS).is_file():
        return SafetensorsShard(folder / ADAPTER_WEIGHTS)
    if not (folder / ADAPTER_PICKLE).is_file():
        raise CheckpointError(f"{name}: has {ADAPTER_CONFIG}, but no {ADAPTER_WEIGHTS}")
    if not allow_pickle:
        raise CheckpointError(
            f"{name}: has only pickled weights ({ADAPTER_PICKLE}), which can hold code; pass --allow-pickle"
        )
    return PickleShard(folder / ADAPTER_PICKLE)
