"""Treats a model whose head is tied to its embeddings as one with a separate head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tvmerge.errors import CheckpointError

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Structure

_FLAG = "tie_word_embeddings"


def untied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `config.json` without ties, also in the language model of a multimodal model."""
    parts = {
        key: untied_config(value)
        for key, value in config.items()
        if isinstance(value, Mapping) and (key == "text_config" or _FLAG in value)
    }
    return {**config, **parts, _FLAG: False}


def untied_structure(config: Mapping[str, Any], name: str) -> Structure:
    """Return the structure of the model that an untied `config.json` describes.

    Raises:
        CheckpointError: The head stays tied whatever the configuration says, or the model has remote code.
    """
    from transformers import CONFIG_MAPPING

    from tvmerge.merging.checkpoints.structure import structure_of

    if config.get("model_type") not in CONFIG_MAPPING:
        raise CheckpointError(f"{name} has its own modelling code, so its head cannot be untied")
    structure = structure_of(CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)), name)
    if tied_head(structure) is not None:
        raise CheckpointError(f"{name}: its head stays tied to the embeddings, whatever its config.json says")
    return structure


def tied_head(structure: Structure) -> tuple[str, str] | None:
    """Return the model's names of a tied head and of the embeddings; None if the head is not tied."""
    pairs = ((alias, first) for alias, first in structure.aliases.items() if structure.place_is_head(alias))
    return next(((alias, first) for alias, first in pairs if _by_token(structure, first)), None)


def head_of_its_own(structure: Structure, names: Iterable[str]) -> dict[str, str]:
    """Return the file's name of the embeddings by the name of the head, if the file has no head.

    Args:
        structure: The untied model.
        names: The file's tensors.
    """
    found = structure.arrange(names)
    by_token = [own for own in structure.layouts[0] if _by_token(structure, own)]
    heads = [own for own in by_token if structure.place_is_head(own)]
    tables = [found.names[own] for own in by_token if own in found.names and own not in heads]
    return {found.names.get(own, own): tables[0] for own in heads if tables}


def _by_token(structure: Structure, own: str) -> bool:
    place = structure.place(own)
    return place is not None and place.by_token
