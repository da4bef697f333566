"""Whether models fit together: from their configurations, then from their files' headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError
from tvmerge.merging.configurations import contradictions
from tvmerge.merging.dtypes import FLOATS

if TYPE_CHECKING:
    from tvmerge.merging.checkpoint import Checkpoint
    from tvmerge.merging.structure import Arrangement, Place, Structure

    _Check = Callable[[Structure, Structure], Iterable[str]]


def check_structures(target: Structure, others: Sequence[Structure], *, any_vocabulary: bool = False) -> None:
    """Check what the configurations alone can tell, before any weight is at hand.

    Args:
        target: The model that gets task vectors.
        others: Models that must be built like it.
        any_vocabulary: Embeddings and head may have other numbers of rows.

    Raises:
        CheckpointError: Families or numbers of layers differ, tensors are missing or of another shape, or a
            setting gives their numbers another meaning; names every one of them.
    """
    checks: tuple[_Check, ...] = (_outlines, partial(_differences, any_vocabulary=any_vocabulary), _meanings)
    for check in checks:
        found = [(other.name, problem) for other in others for problem in check(target, other)]
        if found:
            unlike, problems = (dict.fromkeys(column) for column in zip(*found, strict=True))
            hint = _vocabulary_hint(target, *others)
            raise CheckpointError(
                f"{' and '.join(unlike)} {'do' if len(unlike) > 1 else 'does'} not fit {target.name}{hint}: "
                + "; ".join(problems)
            )


def complete(checkpoint: Checkpoint) -> Arrangement:
    """The checkpoint's names, once they and their shapes are known to be what its configuration asks for.

    Raises:
        CheckpointError: The files do not hold what the configuration says; names every tensor concerned.
    """
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


def counterparts(target: Checkpoint, other: Checkpoint) -> dict[str, str]:
    """The target's name of each floating-point tensor -> the other's name of it, in model order.

    Raises:
        CheckpointError: A file is not what its configuration says, or stores its tensors in another layout.
    """
    own, theirs = complete(target), complete(other)
    known = {**theirs.tied, **theirs.names}
    odd = [name for canonical, name in own.names.items() if canonical not in known]
    if odd:
        raise CheckpointError(
            f"{other.name} is stored in another layout than {target.name}: {', '.join(odd)}"
        )
    return {
        name: known[canonical]
        for canonical, name in own.names.items()
        if (place := target.structure.place(canonical)) is not None and place.is_float
    }


def _outlines(target: Structure, other: Structure) -> Iterator[str]:
    if other.model_type != target.model_type:
        yield (
            f"{other.name} is a {other.architecture} ({other.model_type}), {target.name} a "
            f"{target.architecture} ({target.model_type}), and all models must be of one family"
        )
    if other.layers != target.layers:
        yield (
            f"{other.name} has {other.layers} layers, {target.name} has {target.layers}, and all models must "
            "have as many"
        )


def _differences(target: Structure, other: Structure, any_vocabulary: bool) -> Iterator[str]:
    for name, place in target.layouts[0].items():
        found = other.place(name)
        if found is None:
            yield f"{other.name} has no {name}"
        elif not _alike(found, place, any_vocabulary):
            yield f"{name} is {list(found.shape)} in {other.name} and {list(place.shape)} in {target.name}"
    for name in other.layouts[0]:
        if name not in target.layouts[0]:
            tied = f", which {target.name} ties to {target.aliases[name]}" if name in target.aliases else ""
            yield f"{other.name} has {name} of its own{tied or f', {target.name} has none'}"


def _meanings(target: Structure, other: Structure) -> Iterable[str]:
    name = other.name if other.name != target.name else f"the other {other.name}"
    return contradictions({target.name: target.settings, name: other.settings})


def _alike(one: Place, other: Place, any_vocabulary: bool) -> bool:
    if any_vocabulary and one.by_token and other.by_token:
        return one.shape[1:] == other.shape[1:]
    return one.shape == other.shape


def _vocabulary_hint(*structures: Structure) -> str:
    sizes = {structure.name: structure.vocabulary for structure in structures}
    if len(set(sizes.values())) == 1:
        return ""
    listing = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return f" (vocabularies differ: {listing}; --vocab align adds what tokens have in common)"
