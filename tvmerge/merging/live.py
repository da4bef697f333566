"""Puts a stream of checkpoint tensors into a live transformers model, in place.

Checkpoints and live models mostly name tensors alike; then each tensor is copied as it comes and one tensor
is held at a time. The same goes for a tensor that is only renamed, or that is a slice of a larger one in
memory. What transformers rearranges more deeply while it loads (half of Mixtral's fused experts) goes through
its `from_pretrained`, which knows how, and needs memory for a second model meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import logging

from tvmerge.errors import CheckpointError

_State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Slice:
    """A checkpoint tensor as a part of a live one; stride and offset in elements."""

    owner: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, state: _State) -> torch.Tensor:
        """The live memory it stands for."""
        live = state[self.owner]
        return live.as_strided(self.shape, self.stride, int(live.storage_offset()) + self.offset)


# Names and strides only, so that a model moved to another device since is no trouble.
_slices: WeakKeyDictionary[PreTrainedModel, Mapping[str, _Slice]] = WeakKeyDictionary()


@torch.no_grad()
def load_into(
    model: PreTrainedModel, stream: Iterable[tuple[str, torch.Tensor]], *, ignore: Collection[str] = ()
) -> None:
    """Overwrite every parameter and stored buffer of `model`.

    Args:
        model: The live model, on any device; each tensor is cast to the dtype it has there.
        stream: Pairs (name in the checkpoint, tensor), each name once.
        ignore: Names in the stream that the model has no place for, known to be without effect.

    Raises:
        CheckpointError: A tensor has no place in the model or another shape there, or a part of the model
            got no tensor. The model is then part old, part new, until the next load succeeds.
    """
    state = model.state_dict()
    rest = {_place(tensor): tensor.numel() for tensor in state.values()}
    converted: dict[str, torch.Tensor] = {}
    for name, tensor in stream:
        if name in ignore:
            continue
        live = _find(model, state, name)
        if live is None:
            converted[name] = tensor
            continue
        owner, destination = live
        _copy(destination, tensor, name, model)
        rest[_place(state[owner])] -= tensor.numel()
    missing = _uncovered(state, rest)
    if converted:
        for name, tensor in _convert(model, state, missing, converted):
            _copy(state[name], tensor, name, model)
            rest[_place(state[name])] = 0
        missing = _uncovered(state, rest)
    if missing:
        raise CheckpointError(f"the merged model has nothing for {', '.join(missing)} of {_class(model)}")


def _find(model: PreTrainedModel, state: _State, name: str) -> tuple[str, torch.Tensor] | None:
    """The live tensor that holds a checkpoint tensor, by name, and the part of it which is that tensor."""
    prefix = f"{model.base_model_prefix}."
    for own in (name, prefix + name, name.removeprefix(prefix)):
        if own in state:
            return own, state[own]
    if model not in _slices:
        _slices[model] = _find_slices(model)
    found = _slices[model].get(name)
    return None if found is None else (found.owner, found.of(state))


def _find_slices(model: PreTrainedModel) -> dict[str, _Slice]:
    """Where transformers renames or cuts tensors as it saves `model`: the checkpoint's name -> the slice."""
    # A copy without memory, since a conversion that rearranges would copy the model's tensors.
    live = model.state_dict()
    shadow = {name: torch.empty_strided(t.shape, t.stride(), device="meta") for name, t in live.items()}
    owners = {tensor.untyped_storage()._cdata: name for name, tensor in shadow.items()}
    saved = revert_weight_conversion(model, shadow)
    return {
        name: _Slice(owner, tuple(t.shape), t.stride(), int(t.storage_offset()))
        for name, t in saved.items()
        if (owner := owners.get(t.untyped_storage()._cdata)) is not None
    }


def _place(tensor: torch.Tensor) -> tuple[int, int]:
    # Tied tensors are one place under two names.
    return tensor.untyped_storage().data_ptr(), int(tensor.storage_offset())


def _uncovered(state: _State, rest: Mapping[tuple[int, int], int]) -> list[str]:
    return [name for name, tensor in state.items() if rest[_place(tensor)] > 0]


def _copy(live: torch.Tensor, tensor: torch.Tensor, name: str, model: PreTrainedModel) -> None:
    if live.shape != tensor.shape:
        raise CheckpointError(
            f"'{name}' is {list(tensor.shape)} in the merged model and {list(live.shape)} in the live "
            f"{_class(model)}"
        )
    live.copy_(tensor)


def _convert(
    model: PreTrainedModel, state: _State, missing: Collection[str], converted: _State
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of `missing`, made by transformers from the checkpoint tensors `converted`."""
    covered = {name: tensor for name, tensor in state.items() if name not in missing}
    factory: Any = type(model)
    try:
        with _quiet():
            # What is in place already goes along, so that only `missing` is made.
            loaded, report = factory.from_pretrained(
                None,
                config=model.config,
                state_dict=covered | dict(converted),
                dtype=model.dtype,
                output_loading_info=True,
            )
    except RuntimeError as error:
        raise CheckpointError(
            f"transformers cannot make {', '.join(missing)} of {_class(model)} from {', '.join(converted)}"
        ) from error
    if report["unexpected_keys"]:
        raise CheckpointError(
            f"{_class(model)} has no place for {', '.join(sorted(report['unexpected_keys']))}"
        )
    fresh = loaded.state_dict()
    unmade = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    yield from ((name, fresh[name]) for name in missing if name not in unmade)


def _class(model: PreTrainedModel) -> str:
    return type(model).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from printing a progress bar and a loading report for every trial."""
    log: Any = logging
    verbosity, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bar:
            log.enable_progress_bar()
