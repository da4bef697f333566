"""Puts a stream of checkpoint tensors into a live transformers model, in place.

Checkpoints and live models mostly name tensors alike; then each tensor is copied as it comes and one tensor
is held at a time. The same goes for a tensor that is only renamed, or that is a run of rows of a larger one
(Mixtral's fused experts). A family whose tensors transformers rearranges more deeply is refused.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import AutoConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.initialization import no_init_weights

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.naming import Renaming
from tvmerge.merging.deltas import as_rows
from tvmerge.merging.kernels.stream import TensorStream
from tvmerge.pretrained.architectures import factory_of

_State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Slice:
    """A checkpoint tensor as consecutive rows of a live one; a row is its last dimension.

    Attributes:
        owner: Name of the live tensor.
        first: Its row at which the checkpoint's tensor begins.
        shape: Shape of the checkpoint's tensor.
    """

    owner: str
    first: int
    shape: tuple[int, ...]

    def of(self, state: _State) -> torch.Tensor:
        """The live memory it stands for."""
        rows = as_rows(state[self.owner])
        n = math.prod(self.shape) // rows.shape[1]
        return rows[self.first : self.first + n].view(self.shape)


class _Places:
    """Where in a live model each tensor of a checkpoint goes, by name.

    It holds names and numbers only, so that a model moved to another device since is no trouble.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._renaming = Renaming(model)
        self._known: dict[str, str | Slice | None] = {}
        self._slices: Mapping[str, Slice] | None = None

    def find(self, model: PreTrainedModel, state: _State, name: str) -> tuple[str, torch.Tensor] | None:
        """The live tensor that holds a checkpoint tensor, by name, and the part of it that is the tensor."""
        if name not in self._known:
            self._known[name] = self._look_up(model, state, name)
        found = self._known[name]
        if isinstance(found, Slice):
            return found.owner, found.of(state)
        return None if found is None else (found, state[found])

    def turns(self, owner: str, tensor: torch.Tensor, live: torch.Tensor) -> bool:
        """Whether transformers would transpose a tensor that has another shape than the live one."""
        return self._renaming.fits(owner, tensor.shape, live.shape)

    def _look_up(self, model: PreTrainedModel, state: _State, name: str) -> str | Slice | None:
        candidates = list(self._renaming.candidates(name))
        whole = next((candidate for candidate in candidates if candidate in state), None)
        if whole is not None:
            return whole
        if self._slices is None:
            steps = self._renaming.fresh()
            slices = find_slices(model)
            self._slices = {next(steps.candidates(saved)): slices[saved] for saved in sorted(slices)}
        return next((self._slices[own] for own in candidates if own in self._slices), None)


_places: WeakKeyDictionary[PreTrainedModel, _Places] = WeakKeyDictionary()


def new_model(config: Mapping[str, Any], *, dtype: torch.dtype, device: str = "cpu") -> PreTrainedModel:
    """A live model whose weights nobody has set yet, for `load_into` to fill.

    Args:
        config: Content of a `config.json`.
        dtype: What it computes in.
        device: Where it lives.
    """
    with no_init_weights(), torch.device(device):
        settings = AutoConfig.for_model(**config)
        model = factory_of(settings).from_config(settings, dtype=dtype)
    model.eval()
    assert isinstance(model, PreTrainedModel)
    return model


@torch.no_grad()
def load_into(
    model: PreTrainedModel, stream: Iterator[tuple[str, torch.Tensor]], *, ignore: Collection[str] = ()
) -> None:
    """Overwrite every parameter and stored buffer of `model`.

    Args:
        model: The live model, on any device; each tensor is cast to the dtype it has there.
        stream: Pairs (name in the checkpoint, tensor), each name once. A `TensorStream` writes into the model
            directly.
        ignore: Names in the stream that the model has no place for, known to be without effect.

    Raises:
        CheckpointError: A tensor has no place in the model or another shape there, or a part of the model
            got no tensor. The model is then part old, part new, until the next load succeeds.
    """
    state = model.state_dict()
    rest = {_place(tensor): tensor.numel() for tensor in state.values()}
    misplaced: list[str] = []
    pairs = stream.into(partial(_offer, model, state)) if isinstance(stream, TensorStream) else stream
    for name, tensor in pairs:
        if name in ignore:
            continue
        live = _find(model, state, name)
        if live is None:
            misplaced.append(name)
            continue
        owner, destination = live
        if destination.shape != tensor.shape and _places[model].turns(owner, tensor, destination):
            destination = destination.mT
        if tensor.data_ptr() != destination.data_ptr() or tensor.numel() == 0:
            _copy(destination, tensor, name, model)
        rest[_place(state[owner])] -= tensor.numel()
    if misplaced:
        raise CheckpointError(f"{_class(model)} has no place for {', '.join(misplaced)}")
    missing = [name for name, tensor in state.items() if rest[_place(tensor)] > 0]
    if missing:
        raise CheckpointError(f"the merged model has nothing for {', '.join(missing)} of {_class(model)}")


def _offer(model: PreTrainedModel, state: _State, name: str, shape: tuple[int, ...]) -> torch.Tensor | None:
    """The part of the live model that a tensor of the stream may be written to at once."""
    live = _find(model, state, name)
    if live is None or live[1].shape != shape or not live[1].is_contiguous():
        return None
    return live[1] if live[1].is_floating_point() else None


def _find(model: PreTrainedModel, state: _State, name: str) -> tuple[str, torch.Tensor] | None:
    if model not in _places:
        _places[model] = _Places(model)
    return _places[model].find(model, state, name)


def find_slices(model: PreTrainedModel) -> dict[str, Slice]:
    """Where transformers renames or cuts tensors as it saves `model`: the checkpoint's name -> the slice.

    The rows of all live tensors are numbered, and transformers converts the numbers in place of the rows. A
    tensor with consecutive numbers is a slice; a tensor without is rearranged more deeply and left out. A row
    has two numbers: transformers before 5.20 loses a dimension of size 1 as it cuts.
    """
    first = 0
    numbered: dict[str, torch.Tensor] = {}
    starts: list[tuple[int, str]] = []
    for name, live in model.state_dict().items():
        shape = (*live.shape[:-1], 2) if live.dim() > 1 else tuple(live.shape)
        count = math.prod(shape)
        numbered[name] = torch.arange(first, first + count, dtype=torch.int32).view(shape)
        starts.append((first, name))
        first += count
    state = model.state_dict()
    slices: dict[str, Slice] = {}
    for name, rows_of in revert_weight_conversion(model, numbered).items():
        numbers = rows_of.reshape(-1)
        if not len(numbers) or not torch.equal(numbers, numbers[0] + torch.arange(len(numbers))):
            continue
        start, owner = starts[bisect_right(starts, (int(numbers[0]), chr(0x10FFFF))) - 1]
        live = state[owner]
        if live.dim() > 1 and rows_of.shape[-1:] != (2,):  # its rows became columns
            continue
        shape = (*rows_of.shape[:-1], live.shape[-1]) if live.dim() > 1 else tuple(rows_of.shape)
        slices[name] = Slice(owner, (int(numbers[0]) - start) // (2 if live.dim() > 1 else 1), shape)
    return slices


def _place(tensor: torch.Tensor) -> tuple[int, int]:
    # Tied tensors are one place under two names.
    return tensor.untyped_storage().data_ptr(), int(tensor.storage_offset())


def _copy(live: torch.Tensor, tensor: torch.Tensor, name: str, model: PreTrainedModel) -> None:
    if live.shape != tensor.shape:
        raise CheckpointError(
            f"'{name}' is {list(tensor.shape)} in the merged model and {list(live.shape)} in the live "
            f"{_class(model)}"
        )
    live.copy_(tensor)


def _class(model: PreTrainedModel) -> str:
    return type(model).__name__
