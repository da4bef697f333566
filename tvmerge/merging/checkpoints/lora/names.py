"""Finds the role of each tensor of an adapter's file, and the tensor of the base that it changes.

peft names a tensor after the module it adapts, with the module's name at the time of training; `Structure`
maps earlier names of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from tvmerge.merging.checkpoints.arrangement import Structure

Role = Literal["whole", "a", "b", "bias", "magnitude", "tokens"]

_PREFIX = "base_model.model."
_ROLES: dict[str, Role] = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_B.bias": "bias",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".token_adapter.trainable_tokens_delta": "tokens",
}
_ORIGINAL, _TRAINED = "original_module", "modules_to_save"
_WRAPPERS = frozenset({"base_layer", _TRAINED, "token_adapter"})
"""Parts of names that peft's wrapper modules add."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor of an adapter's file.

    Attributes:
        key: Its name in the file.
        role: A complete tensor, a factor, the bias of a factor, DoRA's norms, or rows of single tokens.
        module: The name of its module, as peft matches patterns, or of a parameter that is adapted directly.
        own: The base's name of the tensor that it changes.
    """

    key: str
    role: Role
    module: str
    own: str


@dataclass(frozen=True, slots=True)
class _Parsed:
    key: str
    role: Role
    module: str
    depth: int

    @property
    def tensor(self) -> str:
        """The adapter's name of the tensor that it changes."""
        endings = {"whole": "", "bias": ".bias"}
        return self.module + endings.get(self.role, ".weight")


def read_pieces(
    keys: Iterable[str], structure: Structure, config: Mapping[str, Any]
) -> tuple[list[Piece], list[str]]:
    """Find the role and place of each tensor of the file.

    Args:
        keys: Names of the tensors.
        structure: The base model.
        config: Content of `adapter_config.json`.

    Returns:
        The pieces, and the names that match nothing in the base.
    """
    parsed = [_parse(key) for key in _without_second_copies(list(keys))]
    parameters = [str(name) for name in config.get("target_parameters") or ()]
    own = _own_names(structure, {one.tensor for one in parsed})
    fused = _parameters(structure, {one.module for one in parsed if one.tensor not in own}, parameters)
    pieces: list[Piece] = []
    strange: list[str] = []
    for one in parsed:
        if (found := own.get(one.tensor)) is not None:
            module = one.tensor if _ends_with(one.tensor, parameters) else one.module
            pieces.append(Piece(one.key, one.role, module, found))
        elif one.depth < len(nested := fused.get(one.module, ())) and one.role in {"a", "b"}:
            # The first parameter of a module was wrapped first and is nested deepest.
            found = nested[-1 - one.depth]
            pieces.append(Piece(one.key, one.role, found, found))
        else:
            strange.append(one.key)
    return pieces, strange


def _without_second_copies(keys: Sequence[str]) -> list[str]:
    """Return the names without the copies that peft writes of a trained module whose vocabulary has grown.

    These are the module before training, and the trained one under its name in memory.
    """
    known = {key: key.replace(f".{_TRAINED}.", ".") for key in keys if f".{_ORIGINAL}." not in key}
    return [key for key, plain in known.items() if key == plain or plain not in known]


def _parse(key: str) -> _Parsed:
    # Parts with an underscore, and parts before peft's prefix, are added by wrappers around models.
    bare = ".".join(part for part in key.split(".") if not part.startswith("_"))
    name = bare.partition(_PREFIX)[2] or bare
    ending = next((ending for ending in _ROLES if name.endswith(ending)), "")
    parts = name.removesuffix(ending).split(".")
    module = ".".join(part for part in parts if part not in _WRAPPERS)
    role = _ROLES[ending] if ending else "whole"
    return _Parsed(key, role, module, parts.count("base_layer"))


def _parameters(structure: Structure, modules: Iterable[str], targets: Sequence[str]) -> dict[str, list[str]]:
    """Return the directly adapted parameters of each module, by the model's names and in its order."""
    endings = {target.rpartition(".")[2] for target in targets}
    found: dict[str, list[str]] = {}
    order = {own: index for index, own in enumerate(structure.layouts[0])}
    for module in modules:
        named = _own_names(structure, {f"{module}.{ending}" for ending in endings})
        owns = [own for own in named.values() if own in order and _ends_with(own, targets)]
        if owns:
            found[module] = sorted(owns, key=order.__getitem__)
    return found


def _own_names(structure: Structure, names: Set[str]) -> dict[str, str]:
    """Return the model's names of tensors, by the adapter's names.

    The adapter may have been trained on the language model alone, which transformers extracts from some
    multimodal models, or within such a model.
    """
    known = structure.own_names(names)
    return known | structure.elsewhere(names, known)


def _ends_with(name: str, targets: Iterable[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)
