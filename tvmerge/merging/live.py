"""Loads a stream of checkpoint tensors into a live transformers model, in place.

If a tensor has the same name in the model, is only renamed or is a range of rows of a larger tensor
(Mixtral's fused experts), it is copied as it arrives, and only one tensor is in memory at a time. Models
whose tensors transformers rearranges in other ways are rejected.
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
    """A checkpoint tensor as consecutive rows (of the last dimension) of a live tensor.

    Attributes:
        owner: Name of the live tensor.
        first: The row of the live tensor at which the checkpoint's tensor starts.
        shape: Shape of the checkpoint's tensor.
    """

    owner: str
    first: int
    shape: tuple[int, ...]

    def of(self, state: _State) -> torch.Tensor:
        """Return this part of the live tensor."""
        rows = as_rows(state[self.owner])
        n = math.prod(self.shape) // rows.shape[1]
        return rows[self.first : self.first + n].view(self.shape)


class _Places:
    """Finds the place of each checkpoint tensor in a live model, by name.

    It stores only names and numbers, so it stays valid if the model is moved to another device.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._renaming = Renaming(model)
        self._known: dict[str, str | Slice | None] = {}
        self._slices: Mapping[str, Slice] | None = None

    def find(self, model: PreTrainedModel, state: _State, name: str) -> tuple[str, torch.Tensor] | None:
        """Return the name of the live tensor that contains a checkpoint tensor, and its slice."""
        if name not in self._known:
            self._known[name] = self._look_up(model, state, name)
        found = self._known[name]
        if isinstance(found, Slice):
            return found.owner, found.of(state)
        return None if found is None else (found, state[found])

    def turns(self, owner: str, tensor: torch.Tensor, live: torch.Tensor) -> bool:
        """Return whether transformers would transpose a tensor whose shape differs from the live one."""
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
    """Create a live model with uninitialised weights, to be filled by `load_into`.

    Args:
        config: Content of a `config.json`.
        dtype: The dtype of computation.
        device: The model's device.
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
        model: The live model, on any device; tensors are cast to its dtypes.
        stream: Pairs (name in the checkpoint, tensor), each name once. A `TensorStream` writes into the model
            directly.
        ignore: Names in the stream that the model does not have and that have no effect.

    Raises:
        CheckpointError: A tensor does not exist in the model or has another shape there, or a tensor of the
            model was not set. The model then is a mixture of old and new until the next load succeeds.
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
    """Return the part of the live model to which a tensor of the stream can be written directly."""
    live = _find(model, state, name)
    if live is None or live[1].shape != shape or not live[1].is_contiguous():
        return None
    return live[1] if live[1].is_floating_point() else None


def _find(model: PreTrainedModel, state: _State, name: str) -> tuple[str, torch.Tensor] | None:
    if model not in _places:
        _places[model] = _Places(model)
    return _places[model].find(model, state, name)


def find_slices(model: PreTrainedModel) -> dict[str, Slice]:
    """Return the slices of live tensors that transformers renames or splits when it saves `model`.

    The rows of all live tensors are numbered, and transformers converts the numbers instead of the rows. A
    tensor with consecutive numbers is a slice; others are rearranged in other ways and left out. Each row has
    two numbers, since transformers before 5.20 drops dimensions of size 1 when it splits.
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
    # Tied tensors are one tensor under two names.
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
