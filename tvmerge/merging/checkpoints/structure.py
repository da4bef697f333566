"""Reads the structure of a model from its configuration: its kind and the place of each tensor.

No architecture is known by name. transformers builds the model without memory, on torch's `meta` device. Its
decoder blocks are the largest `ModuleList` whose length is the configuration's number of layers, and what
runs before and after them is observed (`sections`). In a multimodal model only the language model has
sections; the rest is `other`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import PreTrainedConfig
from transformers.core_model_loading import revert_weight_conversion

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.arrangement import Place, Structure
from tvmerge.merging.checkpoints.configurations import settings_of
from tvmerge.merging.checkpoints.layout import CONFIG, read_json
from tvmerge.merging.checkpoints.naming import Renaming
from tvmerge.merging.checkpoints.sections import Section, Sections
from tvmerge.pretrained.empty_model import EmptyModel, empty_model, read_empty_model

_RANK: dict[Section, int] = {"embeddings": 0, "layers": 1, "norm": 2, "head": 3, "other": 4}


def read_structure(
    folder: Path, name: str, *, trust_remote_code: bool = False, untied: bool = False
) -> Structure:
    """Read a model's structure from its configuration, without reading weights.

    Args:
        folder: The model's folder.
        name: Its name in messages.
        trust_remote_code: Whether transformers may run modelling code in the folder.
        untied: Whether the head has separate weights, whatever the configuration says.

    Raises:
        CheckpointError: The configuration is invalid, or not that of a decoder-only language model.
    """
    stated, trust = read_json(folder / CONFIG), trust_remote_code
    empty = read_empty_model(folder, name, stated, trust_remote_code=trust, untied=untied)
    return structure_of_model(empty, name)


def structure_of(config: PreTrainedConfig, name: str) -> Structure:
    """Return the structure of the model that `config` describes; see `read_structure`."""
    return structure_of_model(empty_model(config, name), name)


def structure_of_model(empty: EmptyModel, name: str) -> Structure:
    """Return the structure of a model without memory; see `read_structure`.

    Raises:
        CheckpointError: The model has a tensor whose place cannot be determined.
    """
    model, text = empty.model, empty.text
    state = model.state_dict()
    aliases = _aliases(state)
    sections = Sections(model, name, getattr(text, "num_hidden_layers", None))
    own = {key: value for key, value in state.items() if key not in aliases}
    renaming = Renaming(model)
    saved = revert_weight_conversion(model, own)
    steps = renaming.fresh()
    renamed = {_in_model(key, steps, own): saved[key] for key in sorted(saved)}
    layouts = [_places(own, sections, own, name)]
    if renamed.keys() != own.keys():
        layouts.append(_places(renamed, sections, own, name))
    return Structure(
        name=name,
        architecture=type(model).__name__,
        model_type=empty.config.model_type,
        text_type=text.model_type,
        stands_alone=empty.stands_alone,
        layers=sections.layers,
        vocabulary=sections.vocabulary,
        prefix=model.base_model_prefix,
        decoder=sections.decoder,
        blocks=sections.blocks,
        head=sections.head,
        layouts=tuple(layouts),
        aliases=aliases,
        settings=settings_of(text.to_dict()),
        renaming=renaming,
    )


def _in_model(name: str, renaming: Renaming, own: Mapping[str, torch.Tensor]) -> str:
    """Return the name in the model of a tensor that transformers saves as `name`, ignoring rearrangement."""
    candidates = list(renaming.candidates(name))
    return next((candidate for candidate in candidates if candidate in own), candidates[0])


def _aliases(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    first: dict[int, str] = {}
    aliases = {}
    for key, tensor in state.items():
        owner = first.setdefault(_storage(tensor), key)
        if owner != key:
            aliases[key] = owner
    return aliases


def _storage(tensor: torch.Tensor) -> int:
    # On the meta device every data pointer is 0, so tensors are distinguished by their storage objects.
    return int(tensor.untyped_storage()._cdata)


def _places(
    tensors: Mapping[str, torch.Tensor], sections: Sections, own: Mapping[str, torch.Tensor], name: str
) -> dict[str, Place]:
    origins = {_storage(tensor): key for key, tensor in own.items()}
    order = {key: index for index, key in enumerate(own)}
    ranked: list[tuple[tuple[int, ...], str, Place]] = []
    for key, tensor in tensors.items():
        origin = origins.get(_storage(tensor), key)
        layer = sections.layer(origin)
        if layer is None and origin not in own and sections.section(origin) != "other":
            raise CheckpointError(f"{name}: cannot tell where in the model its tensor '{key}' belongs")
        section: Section = "layers" if layer is not None else sections.section(origin)
        place = Place(
            section, layer, tuple(tensor.shape), tensor.is_floating_point(), sections.by_token(origin)
        )
        # Tensors that transformers splits from a fused one stay in the order of the conversion.
        rank = (_RANK[section], layer or 0, order.get(origin, len(order)))
        ranked.append((rank, key, place))
    return {key: place for _, key, place in sorted(ranked, key=lambda item: item[0])}
