"""Checks that models fit together, by their configurations and the headers of their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import refuse_quantised
from tvmerge.merging.checkpoints.configurations import contradictions
from tvmerge.merging.checkpoints.quantised import declared
from tvmerge.merging.dtypes import FLOATS

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Arrangement, Place, Structure
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint

    _Check = Callable[[Structure, Structure], Iterable[str]]

_SHOWN = 4
"""Number of missing or unexpected tensors that are listed before the rest is only counted."""


def check_structures(target: Structure, others: Sequence[Structure], *, any_vocabulary: bool = False) -> None:
    """Check that models fit together as far as their configurations show, before weights are downloaded.

    Args:
        target: The target model.
        others: Models that must have the same structure.
        any_vocabulary: Whether embeddings and head may have other numbers of rows.

    Raises:
        CheckpointError: Families or numbers of layers differ, tensors are missing or have other shapes, or
            settings differ that decide what their numbers mean; the message names all of them.
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
    """Return the checkpoint's names after checking that they and their shapes match the configuration.

    Raises:
        CheckpointError: The files do not match the configuration; the message names every tensor concerned.
    """
    structure, specs = checkpoint.structure, checkpoint.specs
    arrangement = checkpoint.arrangement
    odd = _lacks(checkpoint, arrangement)
    for own, name in arrangement.names.items():
        place, spec = structure.place(own), specs[name]
        assert place is not None
        if not structure.renaming.fits(own, spec.shape, place.shape):
            odd.append(f"{name} is {list(spec.shape)} and should be {list(place.shape)}")
        elif place.is_float and spec.dtype not in FLOATS:
            odd.append(f"{name} is {spec.dtype} and should be a float")
    if odd:
        # An unknown quantisation method.
        refuse_quantised(checkpoint.name, declared(checkpoint.config), checkpoint.config)
        raise CheckpointError(f"{checkpoint.name} does not match its config.json: {'; '.join(odd)}")
    return arrangement


def _lacks(checkpoint: Checkpoint, arrangement: Arrangement) -> list[str]:
    """Return what the files lack and, if these are many tensors, what they have instead."""
    missing = arrangement.missing
    odd = [f"has no {name}" for name in missing[:_SHOWN]]
    if len(missing) > _SHOWN:
        there = arrangement.extra or tuple(checkpoint.specs)
        rest = f", ... ({len(there)})" if len(there) > _SHOWN else ""
        odd.append(f"nor {len(missing) - _SHOWN} more; it has {', '.join(there[:_SHOWN])}{rest}")
    return odd


def counterparts(target: Checkpoint, other: Checkpoint) -> dict[str, str]:
    """Return the other's name of each float tensor of the language model, by the target's name.

    Raises:
        CheckpointError: A file does not match its configuration, or stores its tensors in another layout.
    """
    own, theirs = complete(target), complete(other)
    known = {
        key: name
        for canonical, name in {**theirs.tied, **theirs.names}.items()
        if (key := other.structure.key(canonical)) is not None
    }
    wanted = {
        name: key
        for canonical, name in own.names.items()
        if (place := target.structure.place(canonical)) is not None
        and place.is_float
        and (key := target.structure.key(canonical)) is not None
    }
    odd = [
        name
        for name, key in wanted.items()
        if key not in known or _turned(target.specs[name].shape, other.specs[known[key]].shape)
    ]
    if odd:
        raise CheckpointError(
            f"{other.name} is stored in a different layout from {target.name}: {', '.join(odd)}"
        )
    return {name: known[key] for name, key in wanted.items()}


def _turned(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether one of two stacks of matrices is stored transposed."""
    return len(one) > 2 and one != other and sorted(one) == sorted(other)


def _outlines(target: Structure, other: Structure) -> Iterator[str]:
    if not _related(target, other):
        yield (
            f"{other.name} is a {other.architecture} ({other.model_type}), {target.name} a "
            f"{target.architecture} ({target.model_type}), and all models must be of one family"
        )
    if other.layers != target.layers:
        yield (
            f"{other.name} has {other.layers} layers, {target.name} has {target.layers}, and all models must "
            "have as many"
        )


def _related(one: Structure, other: Structure) -> bool:
    """Return whether two language models may be of one family, judging by the families' names.

    Some decoders exist only inside larger models. Extracted from such a model, they are saved as the text
    model they resemble, so only the tensors can be compared then.
    """
    if one.text_type == other.text_type:
        return True
    return any(
        not inner.stands_alone and plain.model_type == plain.text_type
        for inner, plain in ((one, other), (other, one))
    )


def _differences(target: Structure, other: Structure, any_vocabulary: bool) -> Iterator[str]:
    theirs = _by_key(other, {**other.layouts[0], **other.aliases})
    for key, name in _by_key(target, target.layouts[0]).items():
        place = target.layouts[0][name]
        found = other.place(theirs[key]) if key in theirs else None
        if found is None:
            yield f"{other.name} has no {name}"
        elif not _alike(found, place, any_vocabulary):
            yield f"{name} is {list(found.shape)} in {other.name} and {list(place.shape)} in {target.name}"
    own, tied = _by_key(target, target.layouts[0]), _by_key(target, target.aliases)
    for key, name in _by_key(other, other.layouts[0]).items():
        if key not in own and not target.place_is_head(tied.get(key, "")):
            first = target.aliases[tied[key]] if key in tied else None
            how = f", which {target.name} ties to {first}" if first else f", {target.name} has none"
            yield f"{other.name} has {'a separate ' if first else ''}{name}{how}"


def _by_key(structure: Structure, names: Iterable[str]) -> dict[str, str]:
    """Return the model's names of the language model's tensors, by their names within it."""
    return {key: name for name in names if (key := structure.key(name)) is not None}


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
    return f" (vocabularies differ: {listing}; --vocab align merges the tokens they share)"
