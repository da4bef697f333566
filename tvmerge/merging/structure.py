"""What kind of model a configuration describes, and where in it each tensor belongs.

Nothing here knows an architecture by name. transformers builds the model without memory (on torch's
`meta` device); its decoder blocks are the largest `ModuleList` of the length the configuration gives, and
what stands before and after them is told by position. Of a model that also reads images only the language
model has sections; the rest of it is `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
)

from tvmerge.errors import CheckpointError
from tvmerge.merging.configurations import Settings, settings_of
from tvmerge.merging.layout import CONFIG

Section = Literal["embeddings", "layers", "norm", "head", "other"]
_RANK: dict[Section, int] = {"embeddings": 0, "layers": 1, "norm": 2, "head": 3, "other": 4}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the model a tensor belongs.

    Attributes:
        section: Before the decoder layers, in them, behind them, the head, or outside the language model.
        layer: Index of its layer; None outside the layers.
        shape: The shape the configuration asks for.
        is_float: Whether the model holds it as a floating-point number.
        by_token: Whether it has one row for each token: the input embeddings and the head.
    """

    section: Section
    layer: int | None
    shape: tuple[int, ...]
    is_float: bool
    by_token: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A checkpoint's names, sorted into its model.

    Attributes:
        names: The model's own name of each tensor -> the checkpoint's name of it, in model order. A tied
            head is no tensor of its own and does not appear.
        tied: The model's own name of each further name of a tied tensor -> the checkpoint's name of it.
        missing: What the model needs and the checkpoint lacks.
        extra: What the checkpoint holds and the model does not use (rotary tables, attention masks, ...).
        duplicates: Checkpoint's name of a second copy of a tied tensor -> its name of the first.
    """

    names: Mapping[str, str]
    tied: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    duplicates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Structure:
    """A model's tensors and their places.

    Attributes:
        name: What messages call the model.
        architecture: Name of the model class.
        model_type: transformers' name of the family.
        layers: Number of decoder layers.
        vocabulary: Number of rows of the embeddings.
        prefix: The name of the part below the head, which checkpoints may leave out (`model`).
        layouts: The ways checkpoints of this family name its tensors, each in model order.
        aliases: A further name of a tied tensor -> its first name.
        settings: What the language model's configuration says; see `configurations.settings_of`.
    """

    name: str
    architecture: str
    model_type: str
    layers: int
    vocabulary: int
    prefix: str
    layouts: tuple[Mapping[str, Place], ...]
    aliases: Mapping[str, str]
    settings: Settings

    def place(self, name: str) -> Place | None:
        """The place of a tensor, by the model's own name of it; a tied tensor's is that of its first name."""
        name = self.aliases.get(name, name)
        return next((layout[name] for layout in self.layouts if name in layout), None)

    def arrange(self, names: Iterable[str]) -> Arrangement:
        """Sort a checkpoint's names into the model, by the layout which fits them best."""
        names = list(names)
        return min((self._arrange(layout, names) for layout in self.layouts), key=lambda a: len(a.missing))

    def _arrange(self, layout: Mapping[str, Place], names: list[str]) -> Arrangement:
        found: dict[str, str] = {}
        for name in names:
            own = self._own_name(layout, name)
            if own is not None:
                found.setdefault(own, name)
        tied, duplicates = {}, {}
        for alias, first in self.aliases.items():
            if alias in found:
                # Some checkpoints keep a tied tensor under its second name only.
                kept = found.setdefault(first, found[alias])
                if found[alias] != kept:
                    duplicates[found[alias]] = kept
            if first in found:
                tied[alias] = found[first]
        ordered = {own: found[own] for own in layout if own in found}
        used = {*ordered.values(), *duplicates}
        return Arrangement(
            names=ordered,
            tied=tied,
            missing=tuple(own for own in layout if own not in found),
            extra=tuple(name for name in names if name not in used),
            duplicates=duplicates,
        )

    def _own_name(self, layout: Mapping[str, Place], name: str) -> str | None:
        candidates = (name, f"{self.prefix}.{name}", name.removeprefix(f"{self.prefix}."))
        return next((own for own in candidates if own in layout or own in self.aliases), None)


def read_structure(folder: Path, name: str, *, trust_remote_code: bool = False) -> Structure:
    """Learn a model's structure from its configuration alone; reads no weights.

    Args:
        folder: The model's folder.
        name: What to call it in messages.
        trust_remote_code: Let transformers run modelling code that lies in the folder.

    Raises:
        CheckpointError: The configuration is unusable, or not that of a decoder-only language model.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if not trust_remote_code and '"auto_map"' in (folder / CONFIG).read_text(encoding="utf-8"):
            raise CheckpointError(
                f"{name} brings modelling code of its own; pass --trust-remote-code if you trust it"
            ) from error
        raise CheckpointError(f"{name}: its config.json is not usable: {_first_line(error)}") from error
    return structure_of(config, name, trust_remote_code=trust_remote_code)


def structure_of(config: PreTrainedConfig, name: str, *, trust_remote_code: bool = False) -> Structure:
    """The structure of the model that `config` describes; see `read_structure`."""
    _refuse_other_kinds(config, name)
    model = _build_on_meta(config, name, trust_remote_code=trust_remote_code)
    state = model.state_dict()
    aliases = _aliases(state)
    sections = _Sections(model, name)
    own = {key: value for key, value in state.items() if key not in aliases}
    converted = revert_weight_conversion(model, own)
    layouts = [_places(own, sections, own, name)]
    if converted.keys() != own.keys():
        layouts.append(_places(converted, sections, own, name))
    return Structure(
        name=name,
        architecture=type(model).__name__,
        model_type=config.model_type,
        layers=sections.layers,
        vocabulary=sections.vocabulary,
        prefix=model.base_model_prefix,
        layouts=tuple(layouts),
        aliases=aliases,
        settings=settings_of(config.get_text_config().to_dict()),
    )


def _refuse_other_kinds(config: PreTrainedConfig, name: str) -> None:
    declared = ", ".join(config.architectures or ()) or config.model_type
    refusal = f"{name}: {declared} is not a decoder-only language model"
    if config.is_encoder_decoder:
        raise CheckpointError(f"{refusal}: it has an encoder; only decoder-only models can be merged")
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise CheckpointError(
            f"{refusal}: it fills masks (BERT-like); only decoder-only models can be merged"
        )
    if (
        type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING
    ):
        raise CheckpointError(f"{refusal}: it also reads images; only text models can be merged")
    has_code = "AutoModelForCausalLM" in getattr(config, "auto_map", {})
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not has_code:
        raise CheckpointError(
            f"{refusal}: transformers has no causal language model for '{config.model_type}'"
        )


def _build_on_meta(config: PreTrainedConfig, name: str, *, trust_remote_code: bool) -> PreTrainedModel:
    factory: Any = AutoModelForCausalLM  # its from_config is unannotated
    try:
        with torch.device("meta"):
            model = factory.from_config(config, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        raise CheckpointError(f"{name}: transformers cannot build it: {_first_line(error)}") from error
    assert isinstance(model, PreTrainedModel)
    return model


def _find_blocks(model: PreTrainedModel, decoder: str, name: str) -> tuple[str, int]:
    expected = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = {
        path: module
        for path, module in model.named_modules()
        if path.startswith(decoder) and isinstance(module, torch.nn.ModuleList) and len(module) == expected
    }
    outermost = [path for path in lists if not any(path.startswith(f"{other}.") for other in lists)]
    if not outermost:
        raise CheckpointError(f"{name}: no list of {expected} decoder layers in {type(model).__name__}")
    path = max(outermost, key=lambda path: sum(p.numel() for p in lists[path].parameters()))
    return path, len(lists[path])


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


class _Sections:
    """Says to which section a parameter of a live model belongs."""

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        untyped: Any = model  # transformers leaves these methods unannotated
        paths = {id(module): f"{path}." for path, module in model.named_modules() if path}
        self._decoder = paths.get(id(untyped.get_decoder()), "")
        self._head = paths.get(id(untyped.get_output_embeddings()), "no head")
        blocks, self.layers = _find_blocks(model, self._decoder, name)
        self._blocks = f"{blocks}."
        table = untyped.get_input_embeddings()
        self.vocabulary = int(table.weight.shape[0])
        self._by_token = (paths[id(table)], self._head)
        inside = [key for key in model.state_dict() if key.startswith(self._decoder)]
        first = next(index for index, key in enumerate(inside) if key.startswith(self._blocks))
        tables = [p for p, m in model.named_modules() if isinstance(m, torch.nn.Embedding)]
        self._embeddings = (*inside[:first], *(f"{path}." for path in tables))

    def layer(self, key: str) -> int | None:
        """Index of the layer a name belongs to, or None."""
        return int(key.removeprefix(self._blocks).split(".")[0]) if key.startswith(self._blocks) else None

    def by_token(self, key: str) -> bool:
        """Whether a parameter has one row for each token."""
        return key.startswith(self._by_token)

    def section(self, key: str) -> Section:
        """The section of a parameter that is in no layer."""
        if key.startswith(self._head):
            return "head"
        if not key.startswith(self._decoder):
            return "other"
        return "embeddings" if key.startswith(self._embeddings) else "norm"


def _places(
    tensors: Mapping[str, torch.Tensor], sections: _Sections, own: Mapping[str, torch.Tensor], name: str
) -> dict[str, Place]:
    origins = {_storage(tensor): key for key, tensor in own.items()}
    order = {key: index for index, key in enumerate(own)}
    ranked: list[tuple[tuple[int, ...], str, Place]] = []
    for key, tensor in tensors.items():
        origin = origins.get(_storage(tensor), key)
        layer = sections.layer(origin)
        if layer is None and origin not in own:
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
    message: Any = str(error).strip().partition("\n")[0]
    return message or type(error).__name__
