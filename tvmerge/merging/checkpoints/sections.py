"""Finds the section of each tensor of a live model: before, in or after the decoder's blocks, or elsewhere.

The blocks are the largest `ModuleList` whose length is the configuration's number of layers. What runs before
the first block is found by running the decoder up to it on torch's `meta` device, which needs no memory.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from tvmerge.errors import CheckpointError

Section = Literal["embeddings", "layers", "norm", "head", "other"]


class Sections:
    """Finds the section of each parameter of a live model.

    Args:
        model: The model, on the `meta` device.
        name: Its name in messages.
        layers: Number of decoder layers in its configuration, or None.

    Attributes:
        layers: Number of decoder layers.
        blocks: Prefix of the names of their tensors, before the layer's index.
        decoder: Prefix of the names of the decoder's tensors.
        head: Prefix of the names of the head's tensors; None without a head.
        vocabulary: Number of rows of the embeddings.

    Raises:
        CheckpointError: No decoder blocks were found.
    """

    def __init__(self, model: PreTrainedModel, name: str, layers: int | None) -> None:
        untyped: Any = model  # transformers does not annotate these methods
        paths = {id(module): path for path, module in model.named_modules()}
        table, head = untyped.get_input_embeddings(), untyped.get_output_embeddings()
        path, stack = _find_blocks(model, paths.get(id(untyped.get_decoder()), ""), name, layers)
        embeddings = paths[id(table)]
        self.layers = len(stack)
        self.vocabulary = int(table.weight.shape[0])
        self.blocks = f"{path}."
        self.decoder = _common_path(path, embeddings)
        self.head = f"{paths[id(head)]}." if id(head) in paths else None
        self._by_token = (f"{embeddings}.", *([self.head] if self.head else []))
        self._before = self._before_blocks(model, stack)

    def layer(self, key: str) -> int | None:
        """Return the index of the layer of a parameter, or None."""
        return int(key.removeprefix(self.blocks).split(".")[0]) if key.startswith(self.blocks) else None

    def by_token(self, key: str) -> bool:
        """Return whether a parameter has one row per token."""
        return key.startswith(self._by_token)

    def section(self, key: str) -> Section:
        """Return the section of a parameter outside the layers."""
        if self.head is not None and key.startswith(self.head):
            return "head"
        if not key.startswith(self.decoder):
            return "other"
        return "embeddings" if key.startswith(self._before) else "norm"

    def _before_blocks(self, model: PreTrainedModel, stack: torch.nn.ModuleList) -> tuple[str, ...]:
        """Return the prefixes of the names of tensors that are used before the first block."""
        path = self.decoder.removesuffix(".")
        decoder = model.get_submodule(path)
        tables = [f"{p}." for p, m in model.named_modules() if isinstance(m, torch.nn.Embedding)]
        ran = _modules_before(decoder, stack[0])
        if ran is not None:
            direct = [f"{self.decoder}{key}" for key, _ in decoder.named_parameters(recurse=False)]
            return (*tables, *direct, *(f"{self.decoder}{name}." for name in ran))
        # Modules defined before the blocks are assumed to run before them.
        inside = [key for key in model.state_dict() if key.startswith(self.decoder)]
        first = next(index for index, key in enumerate(inside) if key.startswith(self.blocks))
        return (*tables, *inside[:first])


def _modules_before(decoder: torch.nn.Module, block: torch.nn.Module) -> list[str] | None:
    """Return the names of modules with parameters that run before `block`; None if unknown."""
    ran: list[str] = []
    reached: list[torch.nn.Module] = []

    def stop(module: torch.nn.Module, _: object) -> None:
        reached.append(module)
        raise RuntimeError

    hooks = [
        module.register_forward_pre_hook(partial(_note, ran, name))
        for name, module in decoder.named_modules()
        if name and next(module.parameters(recurse=False), None) is not None
    ]
    hooks.append(block.register_forward_pre_hook(stop))
    # Remote code may raise anything on the meta device; the result is unknown then.
    with suppress(Exception), torch.device("meta"), torch.no_grad():
        decoder(input_ids=torch.zeros((1, 2), dtype=torch.long))
    for hook in hooks:
        hook.remove()
    return ran if reached else None


def _note(ran: list[str], name: str, *_: object) -> None:
    ran.append(name)


def _find_blocks(
    model: PreTrainedModel, decoder: str, name: str, expected: int | None
) -> tuple[str, torch.nn.ModuleList]:
    lists = {
        path: module
        for path, module in model.named_modules()
        if path.startswith(decoder) and isinstance(module, torch.nn.ModuleList) and len(module) == expected
    }
    outermost = [path for path in lists if not any(path.startswith(f"{other}.") for other in lists)]
    if not outermost:
        raise CheckpointError(f"{name}: no list of {expected} decoder layers in {type(model).__name__}")
    path = max(outermost, key=lambda path: sum(p.numel() for p in lists[path].parameters()))
    return path, lists[path]


def _common_path(*paths: str) -> str:
    """Return the path, with a final dot, of the innermost module that contains all of these."""
    split = [path.split(".")[:-1] for path in paths]
    shared = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)
