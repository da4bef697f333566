"""Writes a merged model with its card and its experts, and uploads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.merging.export.folders import check_replaceable, expert_folder, experts_folder
from tvmerge.merging.export.merge_folder import write_experts, write_merge
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.export.card import CardFacts
    from tvmerge.merging.open import Merge


def check_export(
    models: Merge, folder: Path, *, owner: str | None, overwrite: bool, save_experts: bool = False
) -> None:
    """Check that `export_merge` may write its folders.

    Raises:
        CheckpointError: One must not be replaced.
    """
    experts = experts_folder(folder)
    numbers = range(len(models.experts) if save_experts else 0)
    for place in (folder, *(expert_folder(experts, number) for number in numbers)):
        check_replaceable(place, owner, overwrite=overwrite, sources=models.folders)


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
    protect: Callable[[], None] = lambda: None,
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
        protect: Raises if a folder to write holds something that must stay, whatever `overwrite` says.

    Raises:
        CheckpointError: A folder may not be replaced, the disk is full, or the upload failed.
    """
    options: Any = {
        "owner": owner,
        "overwrite": overwrite,
        "shard_size": int(shard_size * 10**9),
        "protect": protect,
    }
    write_merge(models, folder, recipe, facts=facts, texts=files(models.donor.folder), **options)
    yield f"model: {folder}"
    if save_experts:
        written = write_experts(models, experts_folder(folder), recipe, files=files, **options)
        yield from (f"expert: {path}" for path in written)
    if push_to_hub is not None:
        from tvmerge.merging.export.hub import push_to_hub as push

        yield f"hub: {push(folder, push_to_hub)}"
