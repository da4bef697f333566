"""Finds prediction heads: layers in a checkpoint that predict further tokens and that transformers ignores.

They are recognized by their place and their shapes. They are in no module of the model, but next to the
decoder or after its last layer, and most of their matrices have the hidden size as input or output.
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
    """Return the tensors of a checkpoint's prediction heads.

    Args:
        structure: The model that its configuration describes.
        specs: Its tensors, by name.
        extra: Names of the tensors that the model does not have.

    Returns:
        Their names in the checkpoint, by their names within the language model (or else in the model), sorted
        by name with numbers by value.
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
    """Return the prefixes of names next to the decoder or after its layers, the longest first."""
    parts = structure.blocks.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _module(places: list[str], name: str) -> str | None:
    """Return the outermost module of a tensor at one of these places, or None."""
    place = next(place for place in places if name.startswith(place))
    child, dot, _ = name.removeprefix(place).partition(".")
    return f"{place}{child}" if dot else None


def _carries_hidden_states(structure: Structure, shapes: list[tuple[int, ...]]) -> bool:
    """Return whether most matrices have a side of the hidden size, or of hidden size plus embedding size."""
    width = _width(structure)
    matrices = [shape for shape in shapes if len(shape) > 1]
    fitting = [shape for shape in matrices if {width, 2 * width} & set(shape)]
    return bool(matrices) and 2 * len(fitting) >= len(matrices)


def _width(structure: Structure) -> int:
    """Return the hidden size, which is the number of columns of the embeddings."""
    tables = (place.shape for place in structure.layouts[0].values() if place.by_token)
    return next(tables)[-1]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split(".")]
