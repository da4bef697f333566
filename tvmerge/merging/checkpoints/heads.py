"""Prediction heads: layers that guess tokens further ahead, kept in files, left out by transformers.

They are known by where they lie and by their shapes. In no module that the model has, beside the decoder or
behind its last layer; and most of their matrices take or give what the decoder's layers hand on.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tvmerge.merging.dtypes import FLOATS

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Structure
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint


def prediction_heads(checkpoint: Checkpoint) -> dict[str, str]:
    """The tensors of a checkpoint's prediction heads.

    Returns:
        What each is called within the language model, or in the model where it lies outside of that -> its
        name in the checkpoint. They are in the order of their names, numbers by value.
    """
    structure = checkpoint.structure
    renaming = structure.renaming.fresh()
    places = _places(structure)
    known = {_module(places, own) for layout in structure.layouts for own in layout}
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    for name in sorted(checkpoint.arrangement.extra, key=_natural):
        renamed = next(renaming.candidates(name))
        module = _module(places, renamed)
        if module is not None and module not in known and checkpoint.specs[name].dtype in FLOATS:
            modules[module][structure.key(renamed) or renamed] = name
    return {
        key: name
        for tensors in modules.values()
        if _carries_hidden_states(checkpoint, list(tensors.values()))
        for key, name in tensors.items()
    }


def _places(structure: Structure) -> list[str]:
    """What names begin with beside the decoder, or behind its layers, the longest first."""
    parts = structure.blocks.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _module(places: list[str], name: str) -> str | None:
    """The outermost module at one of these places that a tensor lies in; None for a tensor without one."""
    place = next(place for place in places if name.startswith(place))
    child, dot, _ = name.removeprefix(place).partition(".")
    return f"{place}{child}" if dot else None


def _carries_hidden_states(checkpoint: Checkpoint, names: list[str]) -> bool:
    """Whether most matrices have a side as long as the hidden states, or as a state and an embedding."""
    width = _width(checkpoint.structure)
    shapes = [shape for name in names if len(shape := checkpoint.specs[name].shape) > 1]
    fitting = [shape for shape in shapes if {width, 2 * width} & set(shape)]
    return bool(shapes) and 2 * len(fitting) >= len(shapes)


def _width(structure: Structure) -> int:
    """Numbers in a layer's hidden state: the columns of the embeddings."""
    tables = (place.shape for place in structure.layouts[0].values() if place.by_token)
    return next(tables)[-1]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split(".")]


def is_table(checkpoint: Checkpoint, name: str) -> bool:
    """Whether a tensor of the heads has a row for each token."""
    shape = checkpoint.specs[name].shape
    return len(shape) > 1 and shape[0] == checkpoint.structure.vocabulary


def pair_heads(
    target: Checkpoint, base: Checkpoint, tuned: Checkpoint
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Find the tensors of the target's prediction heads in both sides of a task vector.

    Returns:
        The target's name of each tensor that both have -> their names of it, base first; and of each other
        one -> why it gets nothing.
    """
    sides = [(model, model.heads) for model in (base, tuned)]
    pairs: dict[str, tuple[str, str]] = {}
    idle: dict[str, str] = {}
    for key, name in target.heads.items():
        lacking = [model.name for model, heads in sides if key not in heads]
        if lacking:
            idle[name] = (
                f"{' and '.join(dict.fromkeys(lacking))} {'have' if len(lacking) > 1 else 'has'} none"
            )
            continue
        found = [(model, heads[key]) for model, heads in sides]
        unlike = [model for model, own in found if not _alike(target, name, model, own)]
        if unlike:
            idle[name] = f"of another shape in {' and '.join(dict.fromkeys(model.name for model in unlike))}"
        else:
            pairs[name] = (found[0][1], found[1][1])
    return pairs, idle


def _alike(target: Checkpoint, name: str, other: Checkpoint, own: str) -> bool:
    shapes = target.specs[name].shape, other.specs[own].shape
    if is_table(target, name) and is_table(other, own):
        return shapes[0][1:] == shapes[1][1:]
    return shapes[0] == shapes[1]
