"""Writes a merge: its tensors, its card, `mergekit.yml` and other files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.merging.checkpoints.layout import CARD, CHAT_TEMPLATE
from tvmerge.merging.export.card import CardFacts, model_card
from tvmerge.merging.export.folders import expert_folder
from tvmerge.merging.export.mergekit import mergekit_yaml, not_expressible, output_dtype
from tvmerge.merging.export.reproduce import SETTINGS, command, settings_toml
from tvmerge.merging.export.writer import SHARD_SIZE, write_model
from tvmerge.merging.remarks import LISTING, listing
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.merge import Merge

MERGEKIT = "mergekit.yml"
"""The name of the configuration with which mergekit writes the same model."""


def write_merge(
    merge: Merge,
    folder: Path,
    recipe: Recipe,
    *,
    facts: CardFacts | None = None,
    owner: str | None = None,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    texts: Mapping[str, str] | None = None,
    protect: Callable[[], None] = lambda: None,
) -> None:
    """Write the merged model of `recipe`, its card and its `mergekit.yml`.

    Args:
        merge: The merge.
        folder: The folder to write.
        recipe: Its weights.
        facts: The contents of the card besides the recipe.
        owner: See `writer.write_model`, also for the other arguments and the errors.
        overwrite: See there.
        shard_size: See there.
        texts: See there; they replace files of the same names.
        protect: See there.
    """
    write_model(
        folder,
        merge.merger.merge(recipe),
        merge.donor,
        specs=merge.merger.specs,
        config=merge.config,
        provenance=merge.provenance(recipe),
        owner=owner,
        overwrite=overwrite,
        shard_size=shard_size,
        sources=merge.folders,
        texts=merge_texts(merge, recipe, facts or CardFacts(), texts or {}),
        finite=merge.merger.weighted,
        protect=protect,
    )


def write_experts(
    merge: Merge,
    parent: Path,
    recipe: Recipe,
    *,
    files: Callable[[Path], Mapping[str, str]] = lambda folder: {},
    **options: Any,
) -> list[Path]:
    """Write each expert of a mixture as a dense model.

    Args:
        merge: The mixture.
        parent: The folder of `expert-0`, `expert-1`, ...
        recipe: The mixture's weights.
        files: Returns further files of an expert by name, given the folder of its other files.
        options: As for `write_merge`.

    Returns:
        The folders written.
    """
    folders = []
    for number, expert in enumerate(merge.experts):
        own = expert.recipe(recipe)
        folder = expert_folder(parent, number)
        provenance = {**merge.provenance(own), "expert": number}
        write_model(
            folder,
            expert.merger.merge(own),
            expert.target,
            specs=expert.merger.specs,
            provenance=provenance,
            sources=merge.folders,
            texts=files(expert.target.folder),
            finite=expert.merger.weighted,
            **options,
        )
        folders.append(folder)
    return folders


def merge_texts(merge: Merge, recipe: Recipe, facts: CardFacts, given: Mapping[str, str]) -> dict[str, str]:
    """Return the text files of the merged model of `recipe` by name, including `given`."""
    plan, request = merge.merger.plan, merge.request
    folders = [source.name for source in merge.sources.values() if source.repository is None]
    original = request.arithmetic == "original"
    reason = not_expressible(
        plan,
        folders,
        mixture=bool(merge.experts),
        original=original,
        untied=merge.donor.changed is not None,
    )
    again = command(chat_template=CHAT_TEMPLATE in given)
    texts = {CARD: model_card(merge, recipe, facts, command=again, no_mergekit=reason)}
    texts[SETTINGS] = settings_toml(merge.portable, facts.settings)
    if (whole := listing(merge.remarks())) is not None:
        texts[LISTING] = whole
    if reason is None:
        names = {id(model): merge.sources[part].portable for part, model in plan.models.items()}
        texts[MERGEKIT] = mergekit_yaml(plan, recipe, names, output_dtype(plan, request.dtype))
    return texts | dict(given)
