"""Checks that the tensors of an adapter have the shapes that its base requires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tvmerge.merging.checkpoints.lora.parts import Part

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint


def misfits(parts: Mapping[str, Part], base: Checkpoint, *, use_dora: bool) -> Iterator[str]:
    """Yield a line for each missing tensor and each mismatch of shapes.

    Embeddings and head may have other numbers of rows, since tokens may have been added before training.

    Args:
        parts: The parts, by the base's names.
        base: The base model.
        use_dora: Whether the factors must have DoRA's norms.
    """
    for own, part in parts.items():
        by_token = is_by_token(own, base)
        if part.whole is not None and not _alike(part.shape_of(part.whole), part.shape, by_token):
            yield f"{part.whole} is {list(part.shape_of(part.whole))} and replaces {_named(part)}"
        if part.bias is not None and part.shape_of(part.bias) != part.shape:
            yield f"{part.bias} is {list(part.shape_of(part.bias))} and is added to {_named(part)}"
        if part.tokens is not None and part.shape_of(part.tokens) != (len(part.indices), *part.shape[1:]):
            rows = f"{len(part.indices)} rows of {_named(part)}"
            yield f"{part.tokens} is {list(part.shape_of(part.tokens))} and replaces {rows}"
        if (part.a is None) != (part.b is None):
            yield f"half of the factors of {part.base.name} is missing"
        elif part.a is not None and part.b is not None:
            yield from _factors(part, part.a, part.b, by_token, use_dora)
        elif part.magnitude is not None:
            yield f"{part.magnitude} has no factors"


def is_by_token(own: str, base: Checkpoint) -> bool:
    """Return whether a tensor has a row for each token, by the base's own name of it."""
    place = base.structure.place(own)
    return place is not None and place.by_token


def rows_of(parts: Mapping[str, Part], base: Checkpoint) -> dict[int, str]:
    """Return the numbers of rows of an adapter's embeddings and head, with a tensor of each."""
    found: dict[int, str] = {}
    for own, part in parts.items():
        if not is_by_token(own, base):
            continue
        if part.whole is not None:
            found.setdefault(part.shape_of(part.whole)[0], part.base.name)
        if part.a is not None and part.b is not None:
            rows = part.shape_of(part.a)[1] if part.flipped else part.shape_of(part.b)[0]
            found.setdefault(rows, part.base.name)
        if part.tokens is not None and not found:
            found.setdefault(part.shape[0], part.base.name)
    return found


def _factors(part: Part, a: str, b: str, by_token: bool, use_dora: bool) -> Iterator[str]:
    shapes = part.shape_of(a), part.shape_of(b)
    left, right = (tuple(reversed(shape)) for shape in shapes) if part.flipped else reversed(shapes)
    experts = 1 if part.fused is None else part.fused.shape[0]
    if (
        len(left) != 2
        or len(right) != 2
        or left[1] != right[0]
        or left[1] % experts
        or not _alike((left[0], right[1]), part.matrix, by_token)
    ):
        yield f"factors {list(left)} and {list(right)} do not make {_named(part)}"
    elif (part.magnitude is not None) != use_dora:
        what = "has no norms of DoRA's" if use_dora else "has norms of DoRA's, and use_dora is not set"
        yield f"{part.base.name} {what}"
    elif part.magnitude is not None:
        outputs = right[1] if part.flipped else left[0]
        norms = part.shape_of(part.magnitude)
        if norms not in {(outputs,), (1, outputs), (outputs, 1)}:
            yield f"{part.magnitude} is {list(norms)}, and {part.base.name} has {outputs} outputs"


def _alike(shape: tuple[int, ...], wanted: tuple[int, ...], by_token: bool) -> bool:
    return shape[1:] == wanted[1:] if by_token and shape else shape == wanted


def _named(part: Part) -> str:
    return f"{part.base.name} {list(part.shape)}"
