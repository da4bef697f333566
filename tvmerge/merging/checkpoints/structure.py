"""What kind of model a configuration describes, and where in it each tensor belongs.

Nothing here knows an architecture by name. transformers builds the model without memory (on torch's
`meta` device); its decoder blocks are the largest `ModuleList` of the length the configuration gives, and
what runs before and after them is seen (`sections`). Of a model that also sees or hears only the language
model has sections; the rest of it is `other`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.arrangement import Place, Structure
from tvmerge.merging.checkpoints.configurations import settings_of
from tvmerge.merging.checkpoints.layout import CONFIG, read_json
from tvmerge.merging.checkpoints.naming import Renaming
from tvmerge.merging.checkpoints.sections import Section, Sections
from tvmerge.pretrained.architectures import factory_of, stands_alone, text_settings

_RANK: dict[Section, int] = {"embeddings": 0, "layers": 1, "norm": 2, "head": 3, "other": 4}


def read_structure(
    folder: Path, name: str, *, trust_remote_code: bool = False, untied: bool = False
) -> Structure:
    """Learn a model's structure from its configuration alone; reads no weights.

    Args:
        folder: The model's folder.
        name: What to call it in messages.
        trust_remote_code: Let transformers run modelling code that is in the folder.
        untied: Whether the head has weights of its own, whatever the configuration says.

    Raises:
        CheckpointError: The configuration is unusable, or not that of a decoder-only language model.
    """
    config = read_config(folder, name, trust_remote_code=trust_remote_code)
    if untied:
        config.tie_word_embeddings = text_settings(config).tie_word_embeddings = False
    return structure_of(config, name, trust_remote_code=trust_remote_code)


def read_config(folder: Path, name: str, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """A model's configuration, as transformers reads it; see `read_structure`."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers and the code of models raise what they like
        raise CheckpointError(f"{name}: {_unusable(folder, error, trusted=trust_remote_code)}") from error
    assert isinstance(config, PreTrainedConfig)
    return config


def _unusable(folder: Path, error: BaseException, *, trusted: bool) -> str:
    """Why a configuration cannot be read, where transformers failed with `error`."""
    given = read_json(folder / CONFIG)
    own, known = "auto_map" in given, given.get("model_type") in CONFIG_MAPPING
    if own and not known and not trusted:
        return "brings modelling code of its own; pass --trust-remote-code if you trust it"
    hint = f"; transformers knows {given['model_type']}: leave out --trust-remote-code" * (
        own and known and trusted
    )
    return f"its config.json is not usable: {_first_line(error)}{hint}"


def structure_of(config: PreTrainedConfig, name: str, *, trust_remote_code: bool = False) -> Structure:
    """The structure of the model that `config` describes; see `read_structure`."""
    _refuse_other_kinds(config, name)
    model = empty_model(config, name, trust_remote_code=trust_remote_code)
    state = model.state_dict()
    aliases = _aliases(state)
    text = text_settings(config)
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
        model_type=config.model_type,
        text_type=text.model_type,
        stands_alone=stands_alone(config),
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
    """The name that a tensor which transformers saves as `name` has in the model, were it not rearranged."""
    candidates = list(renaming.candidates(name))
    return next((candidate for candidate in candidates if candidate in own), candidates[0])


def _refuse_other_kinds(config: PreTrainedConfig, name: str) -> None:
    declared = ", ".join(config.architectures or ()) or config.model_type
    refusal = f"{name}: {declared} is not a decoder-only language model"
    if config.is_encoder_decoder:
        raise CheckpointError(f"{refusal}: it has an encoder; only decoder-only models can be merged")
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise CheckpointError(
            f"{refusal}: it fills masks (BERT-like); only decoder-only models can be merged"
        )
    if factory_of(config) is None:
        raise CheckpointError(
            f"{refusal}: transformers has no causal language model for '{config.model_type}'"
        )


def empty_model(config: PreTrainedConfig, name: str, *, trust_remote_code: bool) -> PreTrainedModel:
    """The model that `config` describes, without memory; see `read_structure`."""
    try:
        with torch.device("meta"):
            model = factory_of(config).from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # as above
        raise CheckpointError(f"{name}: transformers cannot build it: {_first_line(error)}") from error
    assert isinstance(model, PreTrainedModel)
    return model


def _aliases(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    first: dict[int, str] = {}
    aliases = {}
    for key, tensor in state.items():
        owner = first.setdefault(_storage(tensor), key)
        if owner != key:
            aliases[key] = owner
    return aliases


def _storage(tensor: torch.Tensor) -> int:
    # On the meta device every data pointer is 0; the storage object itself tells tensors apart.
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
        # A tensor that transformers cut out of a fused one keeps its turn in the conversion's own order.
        rank = (_RANK[section], layer or 0, order.get(origin, len(order)))
        ranked.append((rank, key, place))
    return {key: place for _, key, place in sorted(ranked, key=lambda item: item[0])}


def _first_line(error: BaseException) -> str:
    """Of a message that announces its reason the line after that too."""
    first, _, rest = str(error).strip().partition("\n")
    reason = f" {rest.strip().partition(chr(10))[0]}" if first.endswith(":") else ""
    return f"{first}{reason}" or type(error).__name__
