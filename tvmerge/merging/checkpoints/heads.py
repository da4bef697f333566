"""Prediction heads: layers that guess tokens further ahead, kept in files, left out by transformers.

They are known by where they are and by their shapes. In no module that the model has, beside the decoder or
behind its last layer; and most of their matrices take or give what the decoder's layers hand on.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tvmerge.merging.dtypes import FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tvmerge.merging.checkpoints.arrangement import Structure
    from tvmerge.merging.checkpoints.shards import TensorSpec


def prediction_heads(
    structure: Structure, specs: Mapping[str, TensorSpec], extra: Iterable[str]
) -> dict[str, str]:
    """The tensors of a checkpoint's prediction heads.

    Args:
        structure: The model that its configuration describes.
        specs: Its tensors, by name.
        extra: Names of those that the model has no place for.

    Returns:
        What each is called within the language model, or in the model where it is outside of that -> its
        name in the checkpoint. They are in the order of their names, numbers by value.
    """
    renaming = structure.renaming.fresh()
    places = _places(structure)
    known = {_module(places, own) for layout in structure.layouts for own in layout}
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    for name in sorted(extra, key=_natural):
        renamed = next(renaming.candidates(name))
        module = _module(places, renamed)
        if module is not None and module not in known and specs[name].dtype in FLOATS:
            modules[module][structure.key(renamed) or renamed] = name
    return {
        key: name
        for tensors in modules.values()
        if _carries_hidden_states(structure, [specs[name].shape for name in tensors.values()])
        for key, name in tensors.items()
    }


def _places(structure: Structure) -> list[str]:
    """What names begin with beside the decoder, or behind its layers, the longest first."""
    parts = structure.blocks.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _module(places: list[str], name: str) -> str | None:
    """The outermost module at one of these places that a tensor is in; None for a tensor without one."""
    place = next(place for place in places if name.startswith(place))
    child, dot, _ = name.removeprefix(place).partition(".")
    return f"{place}{child}" if dot else None


def _carries_hidden_states(structure: Structure, shapes: list[tuple[int, ...]]) -> bool:
    """Whether most matrices have a side as long as the hidden states, or as a state and an embedding."""
    width = _width(structure)
    matrices = [shape for shape in shapes if len(shape) > 1]
    fitting = [shape for shape in matrices if {width, 2 * width} & set(shape)]
    return bool(matrices) and 2 * len(fitting) >= len(matrices)


def _width(structure: Structure) -> int:
    """Numbers in a layer's hidden state: the columns of the embeddings."""
    tables = (place.shape for place in structure.layouts[0].values() if place.by_token)
    return next(tables)[-1]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split(".")]
