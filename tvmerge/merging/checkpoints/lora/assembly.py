"""Assembles the tensors of an adapter's file into checked parts, one per tensor of the base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.lora.config import adapter_scales, trained_tokens
from tvmerge.merging.checkpoints.lora.fit import misfits, rows_of
from tvmerge.merging.checkpoints.lora.names import Piece, Role, read_pieces
from tvmerge.merging.checkpoints.lora.parts import Fused, Part
from tvmerge.merging.checkpoints.lora.skeleton import Skeleton, oriented
from tvmerge.merging.checkpoints.lora.ties import follow_ties, without_copies
from tvmerge.merging.deltas import Operand

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint
    from tvmerge.merging.plan import Model

_FACTORS: frozenset[Role] = frozenset({"a", "b"})


def assemble(
    adapter: Model, config: Mapping[str, Any], base: Checkpoint
) -> tuple[dict[str, Part], int | None]:
    """Assemble the parts of an adapter.

    Args:
        adapter: The adapter's file.
        config: Content of its `adapter_config.json`.
        base: The model it was trained on.

    Returns:
        The part of each adapted tensor, by the base's name; and the number of rows of the adapter's
        embeddings and head, None if it has neither.

    Raises:
        CheckpointError: It does not fit the base; the message names every tensor concerned.
    """
    assembly = _Assembly(adapter, config, base)
    parts = follow_ties(assembly.parts, base)
    problems = [*assembly.problems, *misfits(parts, base, use_dora=bool(config.get("use_dora")))]
    if problems:
        raise CheckpointError(
            f"{adapter.name} does not fit {base.name}: {'; '.join(dict.fromkeys(problems))}"
        )
    if not parts:
        raise CheckpointError(f"{adapter.name}: its file holds no LoRA weights")
    rows = rows_of(parts, base)
    if len(rows) > 1:
        listing = ", ".join(f"{own} {count}" for count, own in rows.items())
        raise CheckpointError(f"{adapter.name}: its tensors have different numbers of tokens: {listing}")
    changed = without_copies(parts)
    if not changed:
        raise CheckpointError(f"{adapter.name} adds nothing: its tensors are those of {base.name}")
    return changed, next(iter(rows), None)


class _Assembly:
    """Assembles the pieces of one adapter.

    Attributes:
        parts: The parts by the base's name of the tensor.
        problems: What does not fit.
    """

    def __init__(self, adapter: Model, config: Mapping[str, Any], base: Checkpoint) -> None:
        self._adapter, self._config, self._base = adapter, config, base
        pieces, strange = read_pieces(adapter.specs, base.structure, config)
        self._scales = adapter_scales(config, {piece.module for piece in pieces}, adapter.name)
        arrangement = base.arrangement
        self._tensors = {**arrangement.tied, **arrangement.names}
        self._skeleton = Skeleton(base)
        self.problems = [f"{base.name} has no place for {key}" for key in strange]
        self.parts: dict[str, Part] = {}
        for own, found in self._by_tensor(pieces).items():
            if own in self._tensors:
                self.parts[own] = self._part(own, found)
            else:
                self.parts |= self._pieces_of(own, found)
        flag = bool(config.get("fan_in_fan_out"))
        self.parts = oriented(self.parts, self._skeleton, fan_in_fan_out=flag)

    def _by_tensor(self, pieces: list[Piece]) -> Mapping[str, Mapping[Role, Piece]]:
        found: dict[str, dict[Role, Piece]] = defaultdict(dict)
        for piece in pieces:
            if (other := found[piece.own].setdefault(piece.role, piece)) is not piece:
                self.problems.append(f"{other.key} and {piece.key} are for one tensor")
        return found

    def _part(self, own: str, found: Mapping[Role, Piece]) -> Part:
        place = self._base.structure.place(own)
        assert place is not None
        part = self._loose(found, Operand(self._base, self._tensors[own]))
        return replace(part, fused=Fused(own, place.shape)) if len(place.shape) > 2 and part.a else part

    def _pieces_of(self, own: str, found: Mapping[Role, Piece]) -> dict[str, Part]:
        """Parts for the tensors that the base's file cuts out of one that the model fuses."""
        place, slices = self._base.structure.place(own), self._skeleton.slices(own)
        assert place is not None
        renamed = [name for name, cut in slices.items() if cut.shape == place.shape and name in self._tensors]
        if renamed:
            return {name: self._part(name, found) for name in renamed}
        if not slices or not found.keys() <= _FACTORS or not slices.keys() <= self._tensors.keys():
            keys = ", ".join(piece.key for piece in found.values())
            self.problems.append(f"{keys} is for {own}, which {self._base.name} does not hold in one piece")
            return {}
        return {
            name: replace(
                self._loose(found, Operand(self._base, self._tensors[name])),
                fused=Fused(own, place.shape, cut.first),
            )
            for name, cut in slices.items()
        }

    def _loose(self, found: Mapping[Role, Piece], tensor: Operand) -> Part:
        keys = {role: piece.key for role, piece in found.items()}
        module, whole = next(iter(found.values())).module, keys.get("whole", "")
        return Part(
            self._adapter,
            tensor,
            whole=keys.get("whole"),
            a=keys.get("a"),
            b=keys.get("b"),
            magnitude=keys.get("magnitude"),
            bias=keys.get("bias"),
            tokens=keys.get("tokens"),
            indices=trained_tokens(self._config, module) if "tokens" in keys else (),
            scale=self._scales[module] if keys.keys() & {"a", "b", "bias"} else 1.0,
            own="base_layer" not in whole and self._is_saved(whole),
        )

    def _is_saved(self, key: str) -> bool:
        """Return whether a whole tensor is that of a copy which was trained, not of the base's own module."""
        module = key.rpartition(".")[0]
        return any(module.endswith(str(saved)) for saved in self._config.get("modules_to_save") or ())
