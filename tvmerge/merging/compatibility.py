"""Whether three checkpoints fit together, told from their headers before any weight is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError
from tvmerge.merging.dtypes import FLOATS
from tvmerge.merging.shards import TensorSpec

if TYPE_CHECKING:
    from tvmerge.merging.checkpoint import Checkpoint
    from tvmerge.merging.structure import Arrangement

_OUTER = {"embeddings", "head"}


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor of the target and its counterparts.

    Attributes:
        target: Its name in the target checkpoint.
        base: Its name in the base checkpoint.
        tuned: Its name in the tuned checkpoint.
        spec: Its shape, and its format in the target.
    """

    target: str
    base: str
    tuned: str
    spec: TensorSpec


@dataclass(frozen=True, slots=True)
class Alignment:
    """The tensors of three checkpoints, side by side.

    Attributes:
        rows: The tensors that take a task vector, in model order.
        unchanged: Names of the target's tensors that are copied: integers, booleans, and what the model
            does not use.
        arrangement: The target's names, sorted into its model.
    """

    rows: tuple[Row, ...]
    unchanged: tuple[str, ...]
    arrangement: Arrangement


def check_compatible(target: Checkpoint, base: Checkpoint, tuned: Checkpoint) -> Alignment:
    """Lay three checkpoints side by side.

    Raises:
        CheckpointError: Families or numbers of layers differ, or tensors are missing or of another shape;
            names every one of them.
    """
    _check_families(target, base, tuned)
    arrangements = {checkpoint: _complete(checkpoint) for checkpoint in (target, base, tuned)}
    own = arrangements[target]
    problems: list[str] = []
    for checkpoint in (base, tuned):
        problems += _differences(target, own, checkpoint, arrangements[checkpoint])
    problems = list(dict.fromkeys(problems))
    if problems:
        raise CheckpointError(
            f"{base.name} and {tuned.name} do not fit {target.name}{_vocabulary_hint(target, base, tuned)}: "
            + "; ".join(problems)
        )
    return _side_by_side(target, own, _all_names(arrangements[base]), _all_names(arrangements[tuned]))


def _check_families(target: Checkpoint, *others: Checkpoint) -> None:
    expected = target.structure
    for other in others:
        found = other.structure
        if found.model_type != expected.model_type:
            raise CheckpointError(
                f"{other.name} is a {found.architecture} ({found.model_type}), {target.name} a "
                f"{expected.architecture} ({expected.model_type}); all models must be of one family"
            )
        if found.layers != expected.layers:
            raise CheckpointError(
                f"{other.name} has {found.layers} layers, {target.name} has {expected.layers}; "
                "all models must have as many"
            )


def _complete(checkpoint: Checkpoint) -> Arrangement:
    structure, specs = checkpoint.structure, checkpoint.specs
    arrangement = structure.arrange(specs)
    if arrangement.missing:
        raise CheckpointError(
            f"{checkpoint.name} lacks tensors its config.json asks for: {', '.join(arrangement.missing)}"
        )
    odd = []
    for own, name in arrangement.names.items():
        place, spec = structure.place(own), specs[name]
        if spec.shape != place.shape:
            odd.append(f"{name} is {_shape(spec.shape)}, its config.json asks for {_shape(place.shape)}")
        elif place.is_float and spec.dtype not in FLOATS:
            odd.append(f"{name} is {spec.dtype}, not a float")
    if odd:
        raise CheckpointError(f"{checkpoint.name}: {'; '.join(odd)}")
    return arrangement


def _differences(
    target: Checkpoint, own: Arrangement, other: Checkpoint, arrangement: Arrangement
) -> Iterable[str]:
    theirs = _all_names(arrangement)
    for canonical, name in own.names.items():
        if canonical not in theirs:
            yield f"{other.name} lacks {name}"
        elif (found := other.specs[theirs[canonical]].shape) != (asked := target.specs[name].shape):
            yield f"{name} is {_shape(found)} in {other.name} and {_shape(asked)} in {target.name}"
    for canonical, name in arrangement.names.items():
        if canonical not in own.names:
            yield f"{other.name} has {name}, {target.name} does not"


def _all_names(arrangement: Arrangement) -> dict[str, str]:
    return {**arrangement.tied, **arrangement.names}


def _side_by_side(
    target: Checkpoint, own: Arrangement, base: Mapping[str, str], tuned: Mapping[str, str]
) -> Alignment:
    specs, structure = target.specs, target.structure
    moving = [
        (canonical, name) for canonical, name in own.names.items() if structure.place(canonical).is_float
    ]
    still = [name for canonical, name in own.names.items() if not structure.place(canonical).is_float]
    rows = tuple(Row(name, base[canonical], tuned[canonical], specs[name]) for canonical, name in moving)
    return Alignment(rows, (*still, *own.extra), own)


def _vocabulary_hint(*checkpoints: Checkpoint) -> str:
    sizes = {
        checkpoint.name: place.shape[0]
        for checkpoint in checkpoints
        for layout in checkpoint.structure.layouts[:1]
        for place in layout.values()
        if place.section in _OUTER and len(place.shape) == 2
    }
    if len(set(sizes.values())) < 2:
        return ""
    listing = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return f" (their vocabularies differ: {listing}; choose models with the same tokenizer)"


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
