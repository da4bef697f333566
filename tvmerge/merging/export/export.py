"""Writes a merged model with its card and its experts, and uploads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.merging.export.folders import experts_folder
from tvmerge.merging.export.merge_folder import write_experts, write_merge
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.export.card import CardFacts
    from tvmerge.merging.open import Merge


def export_merge(
    models: Merge,
    folder: Path,
    recipe: Recipe,
    *,
    facts: CardFacts | None = None,
    owner: str | None = None,
    overwrite: bool = False,
    shard_size: float = 5.0,
    save_experts: bool = False,
    push_to_hub: str | None = None,
    files: Callable[[Path], Mapping[str, str]] = lambda folder: {},
) -> Iterator[str]:
    """Write the merged model of `recipe`, and yield a line for each output.

    Args:
        models: The merge.
        folder: The folder to write.
        recipe: Its weights.
        facts: The contents of the card besides the recipe.
        owner: The study's identity; a model of the same owner is replaced.
        overwrite: Whether to replace the folder's contents, whatever they are.
        shard_size: Maximum size of a file of tensors, in gigabytes.
        save_experts: Whether to also write a mixture's experts, next to `folder`.
        push_to_hub: Repository (owner/name) to upload to.
        files: Returns further files of a model by name, given the folder of its other files.

    Raises:
        CheckpointError: A folder may not be replaced, the disk is full, or the upload failed.
    """
    size = int(shard_size * 10**9)
    write_merge(
        models,
        folder,
        recipe,
        facts=facts,
        owner=owner,
        overwrite=overwrite,
        shard_size=size,
        texts=files(models.donor.folder),
    )
    yield f"model: {folder}"
    if save_experts:
        experts = experts_folder(folder)
        written = write_experts(
            models, experts, recipe, owner=owner, overwrite=overwrite, shard_size=size, files=files
        )
        yield from (f"expert: {path}" for path in written)
    if push_to_hub is not None:
        from tvmerge.merging.export.hub import push_to_hub as push

        yield f"hub: {push(folder, push_to_hub)}"
