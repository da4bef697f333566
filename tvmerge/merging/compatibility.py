"""Whether three models fit together: from their configurations, then from their files' headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError
from tvmerge.merging.dtypes import FLOATS
from tvmerge.merging.shards import TensorSpec

if TYPE_CHECKING:
    from tvmerge.merging.checkpoint import Checkpoint
    from tvmerge.merging.structure import Arrangement, Structure


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
        unchanged: Names of the target's tensors that are copied: integers, booleans, and `extra`.
        extra: Names of the target's tensors that the model does not use.
    """

    rows: tuple[Row, ...]
    unchanged: tuple[str, ...]
    extra: tuple[str, ...]


def check_compatible(target: Checkpoint, base: Checkpoint, tuned: Checkpoint) -> Alignment:
    """Lay three checkpoints side by side, from their headers alone.

    Raises:
        CheckpointError: They do not fit together, or a file is not what its configuration says; names
            every tensor concerned.
    """
    check_structures(target.structure, base.structure, tuned.structure)
    own, theirs, learnt = (_complete(checkpoint) for checkpoint in (target, base, tuned))
    in_base = {**theirs.tied, **theirs.names}
    in_tuned = {**learnt.tied, **learnt.names}
    odd = [f"{base.name} {name}" for name in own.names if name not in in_base]
    odd += [f"{tuned.name} {name}" for name in own.names if name not in in_tuned]
    if odd:
        raise CheckpointError(f"stored in another layout than in {target.name}: {', '.join(odd)}")
    floats = {name for name in own.names if (place := target.structure.place(name)) and place.is_float}
    rows = tuple(
        Row(name, in_base[canonical], in_tuned[canonical], target.specs[name])
        for canonical, name in own.names.items()
        if canonical in floats
    )
    whole_numbers = [name for canonical, name in own.names.items() if canonical not in floats]
    return Alignment(rows, (*whole_numbers, *own.extra), own.extra)


def check_structures(target: Structure, base: Structure, tuned: Structure) -> None:
    """Check what the configurations alone can tell, before any weight is at hand.

    Raises:
        CheckpointError: Families or numbers of layers differ, or tensors are missing or of another shape;
            names every one of them.
    """
    for other in (base, tuned):
        _check_family(target, other)
    problems = dict.fromkeys([*_differences(target, base), *_differences(target, tuned)])
    if problems:
        raise CheckpointError(
            f"{base.name} and {tuned.name} do not fit {target.name}{_vocabulary_hint(target, base, tuned)}: "
            + "; ".join(problems)
        )


def _check_family(target: Structure, other: Structure) -> None:
    if other.model_type != target.model_type:
        raise CheckpointError(
            f"{other.name} is a {other.architecture} ({other.model_type}), {target.name} a "
            f"{target.architecture} ({target.model_type}); all models must be of one family"
        )
    if other.layers != target.layers:
        raise CheckpointError(
            f"{other.name} has {other.layers} layers, {target.name} has {target.layers}; "
            "all models must have as many"
        )


def _differences(target: Structure, other: Structure) -> Iterator[str]:
    for name, place in target.layouts[0].items():
        found = other.place(name)
        if found is None:
            yield f"{other.name} has no {name}"
        elif found.shape != place.shape:
            yield f"{name} is {list(found.shape)} in {other.name} and {list(place.shape)} in {target.name}"
    for name in other.layouts[0]:
        if name not in target.layouts[0]:
            tied = f", which {target.name} ties to {target.aliases[name]}" if name in target.aliases else ""
            yield f"{other.name} has {name} of its own{tied or f', {target.name} has none'}"


def _complete(checkpoint: Checkpoint) -> Arrangement:
    """The checkpoint's names, once they and their shapes are known to be what its configuration asks for."""
    structure, specs = checkpoint.structure, checkpoint.specs
    arrangement = structure.arrange(specs)
    odd = [f"has no {name}" for name in arrangement.missing]
    for own, name in arrangement.names.items():
        place, spec = structure.place(own), specs[name]
        assert place is not None
        if spec.shape != place.shape:
            odd.append(f"{name} is {list(spec.shape)} and should be {list(place.shape)}")
        elif place.is_float and spec.dtype not in FLOATS:
            odd.append(f"{name} is {spec.dtype} and should be a float")
    if odd:
        raise CheckpointError(f"{checkpoint.name} does not hold what its config.json says: {'; '.join(odd)}")
    return arrangement


def _vocabulary_hint(*structures: Structure) -> str:
    sizes: Mapping[str, int] = {s.name: s.vocabulary for s in structures}
    if len(set(sizes.values())) == 1:
        return ""
    listing = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return f" (vocabularies differ: {listing}; choose models with the same tokenizer)"
