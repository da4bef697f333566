"""From three model references to a merger that is ready, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tvmerge.merging.checkpoint import Checkpoint
from tvmerge.merging.compatibility import check_structures
from tvmerge.merging.digests import DigestCache
from tvmerge.merging.groups import Mode, group_tensors
from tvmerge.merging.merge import TaskVectorMerger
from tvmerge.merging.sources import Source, fetch_weights, resolve
from tvmerge.merging.structure import read_structure
from tvmerge.merging.writer import SHARD_SIZE, write_model
from tvmerge.records import Recipe


@dataclass(frozen=True, slots=True)
class Merge:
    """A merger with the sources it merges.

    Attributes:
        merger: Makes the tensors of a recipe.
        target: Where the target came from; its folder has configuration and tokenizer.
        base: Where the base came from.
        tuned: Where the tuned model came from.
    """

    merger: TaskVectorMerger
    target: Source
    base: Source
    tuned: Source

    @property
    def group_names(self) -> Sequence[str]:
        """Names of the weights a recipe has, in model order."""
        return self.merger.group_names

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of everything but the recipe that decides the merged tensors."""
        return self.merger.fingerprint

    @property
    def identities(self) -> dict[str, str]:
        """What to call each model where no local path may appear."""
        return {
            "target": self.target.identity,
            "base": self.base.identity,
            "tuned": self.tuned.identity,
        }

    @property
    def folders(self) -> tuple[Path, Path, Path]:
        """Where target, base and tuned lie."""
        return (self.target.folder, self.base.folder, self.tuned.folder)

    def provenance(self, recipe: Recipe) -> dict[str, object]:
        """What a merged model was made from and how, as plain JSON data without local paths."""
        return {
            "formula": "target + weight * (tuned - base)",
            **self.identities,
            "weights": dict(recipe.weights),
            "fingerprint": dict(self.fingerprint),
        }

    def write(
        self,
        folder: Path,
        recipe: Recipe,
        *,
        owner: str | None = None,
        overwrite: bool = False,
        shard_size: int = SHARD_SIZE,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Write the merged model of `recipe`; see `writer.write_model` for arguments and errors."""
        write_model(
            folder,
            self.merger.merge(recipe),
            self.merger.target,
            specs=self.merger.specs,
            provenance=self.provenance(recipe),
            owner=owner,
            overwrite=overwrite,
            shard_size=shard_size,
            sources=(self.base.folder, self.tuned.folder),
            texts=texts,
        )


def open_merge(
    target: str,
    base: str,
    tuned: str,
    mode: Mode,
    *,
    cache_dir: Path | None = None,
    dtype: torch.dtype | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    digest_cache: DigestCache | None = None,
    verify: bool = True,
) -> Merge:
    """Resolve, open, check and group three models.

    Args:
        target: Folder or hub id (`owner/name`, `owner/name@revision`) of the model that gets the vector.
        base: The same for what `tuned` was tuned from.
        tuned: The same for the model with the skill.
        mode: How fine the groups are.
        cache_dir: The hub's cache; its usual place unless given.
        dtype: What merged tensors are rounded to; None keeps the target's formats.
        allow_pickle: Also read pickled weights, tensors only.
        trust_remote_code: Let transformers run modelling code that comes with a model.
        digest_cache: Where digests of files are remembered.
        verify: Read all weights now and refuse NaN and infinities.

    Raises:
        CheckpointError: A model cannot be found or read, or the three do not fit together.
    """
    sources = [resolve(reference, cache_dir=cache_dir) for reference in (target, base, tuned)]
    if any(source.commit for source in sources):
        # What the configurations tell is checked before gigabytes are downloaded.
        check_structures(
            *(read_structure(s.folder, s.name, trust_remote_code=trust_remote_code) for s in sources)
        )
    for source in sources:
        fetch_weights(source, cache_dir=cache_dir, allow_pickle=allow_pickle)
    opened = [
        Checkpoint(
            source.folder,
            name=source.name,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
            digest_cache=digest_cache,
        )
        for source in sources
    ]
    receiver = opened[0]
    arrangement = receiver.structure.arrange(receiver.specs)
    groups = group_tensors(receiver.structure, arrangement, mode)
    merger = TaskVectorMerger(receiver, opened[1], opened[2], groups, dtype)
    if verify:
        merger.verify()
    return Merge(merger, *sources)
