"""Reads from the base's modules the orientation of matrices and the splits of fused tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tvmerge.merging.checkpoints.lora.parts import Part

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint
    from tvmerge.merging.live import Slice


class Skeleton:
    """A base model on the meta device, built on first use.

    Args:
        base: The model.
    """

    def __init__(self, base: Checkpoint) -> None:
        self._base = base

    def input_first(self, own: str) -> bool:
        """Return whether the input is the first dimension in the module of a tensor."""
        from transformers.pytorch_utils import Conv1D

        if own not in self._model.state_dict():  # a file's own piece of a fused tensor
            return False
        module = self._model.get_submodule(own.rpartition(".")[0])
        return isinstance(module, Conv1D) or bool(getattr(module, "is_transposed", False))

    def slices(self, own: str) -> dict[str, Slice]:
        """Return the slice of a fused tensor for each tensor that the file has instead, by the base's name.

        Args:
            own: Name of the fused tensor.

        Returns:
            Empty if the file's tensors are not ranges of its rows.
        """
        found = {name: part for name, part in self._slices.items() if part.owner == own}
        names = self._base.structure.own_names(found)
        place = self._base.structure.place(own)
        assert place is not None
        cut = {names[name]: part for name, part in found.items() if name in names}
        whole = sum(_rows(part.shape) for part in cut.values()) == _rows(place.shape)
        return cut if whole else {}

    @cached_property
    def _model(self) -> Any:
        from tvmerge.pretrained.empty_model import read_empty_model

        base, trust = self._base, self._base.trust_remote_code
        return read_empty_model(base.folder, base.name, base.config, trust_remote_code=trust).model

    @cached_property
    def _slices(self) -> Mapping[str, Slice]:
        from tvmerge.merging.live import find_slices

        return find_slices(self._model)


def oriented(parts: Mapping[str, Part], skeleton: Skeleton, *, fan_in_fan_out: bool) -> dict[str, Part]:
    """Set the orientation of each part with factors, from the factors' shapes if they are unambiguous.

    peft's configuration has a single flag for all matrices, which is that of the last module.

    Args:
        parts: The parts, by the base's names.
        skeleton: Used if neither shapes nor the flag decide.
        fan_in_fan_out: The flag.
    """
    told = {own: lies for own, part in parts.items() if (lies := _lies(part)) is not None}
    agree = {lies for own, lies in told.items() if parts[own].fused is None} <= {fan_in_fan_out}
    found = dict(parts)
    for own, part in parts.items():
        if part.is_embedding:
            found[own] = replace(part, flipped=True)
        elif own in told:
            found[own] = replace(part, flipped=told[own])
        elif part.fused is not None:
            found[own] = replace(part, flipped=skeleton.input_first(part.fused.name))
        else:
            found[own] = replace(part, flipped=fan_in_fan_out if agree else skeleton.input_first(own))
    return found


def _lies(part: Part) -> bool | None:
    """Return whether the factors' shapes fit input first; None if both orientations fit, or neither."""
    if part.a is None or part.b is None:
        return None
    a, b = part.shape_of(part.a), part.shape_of(part.b)
    fits = (b[0], a[-1]) == part.matrix, (a[-1], b[0]) == part.matrix
    return None if fits[0] == fits[1] else fits[1]


def _rows(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])
