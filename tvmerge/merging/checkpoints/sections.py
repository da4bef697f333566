"""Where in a live model its tensors belong: before the decoder's blocks, in them, behind them, elsewhere.

The blocks are the largest `ModuleList` of the length the configuration gives. What runs before the first of
them is told by running the decoder up to there; that takes no memory on torch's `meta` device.
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
    """Says to which section a parameter of a live model belongs.

    Args:
        model: The model, on the `meta` device.
        name: What messages call it.
        layers: Number of decoder layers that its configuration gives; None where it gives none.

    Attributes:
        layers: Number of decoder layers.
        blocks: What the names of their tensors begin with, before the layer's index.
        decoder: What the names of the decoder's tensors begin with.
        head: What the names of the head's tensors begin with; None without a head.
        vocabulary: Number of rows of the embeddings.

    Raises:
        CheckpointError: The model has no decoder blocks that could be found.
    """

    def __init__(self, model: PreTrainedModel, name: str, layers: int | None) -> None:
        untyped: Any = model  # transformers leaves these methods unannotated
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
        """Index of the layer a name belongs to, or None."""
        return int(key.removeprefix(self.blocks).split(".")[0]) if key.startswith(self.blocks) else None

    def by_token(self, key: str) -> bool:
        """Whether a parameter has one row for each token."""
        return key.startswith(self._by_token)

    def section(self, key: str) -> Section:
        """The section of a parameter that is in no layer."""
        if self.head is not None and key.startswith(self.head):
            return "head"
        if not key.startswith(self.decoder):
            return "other"
        return "embeddings" if key.startswith(self._before) else "norm"

    def _before_blocks(self, model: PreTrainedModel, stack: torch.nn.ModuleList) -> tuple[str, ...]:
        """What the names of the tensors begin with that are used before the first block."""
        path = self.decoder.removesuffix(".")
        decoder = model.get_submodule(path)
        tables = [f"{p}." for p, m in model.named_modules() if isinstance(m, torch.nn.Embedding)]
        ran = _modules_before(decoder, stack[0])
        if ran is not None:
            direct = [f"{self.decoder}{key}" for key, _ in decoder.named_parameters(recurse=False)]
            return (*tables, *direct, *(f"{self.decoder}{name}." for name in ran))
        # What is defined before the blocks is taken to run before them.
        inside = [key for key in model.state_dict() if key.startswith(self.decoder)]
        first = next(index for index, key in enumerate(inside) if key.startswith(self.blocks))
        return (*tables, *inside[:first])


def _modules_before(decoder: torch.nn.Module, block: torch.nn.Module) -> list[str] | None:
    """Names of the modules with parameters that run before `block`; None where that cannot be seen."""
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
    # A model's own code may raise anything without memory behind its tensors: nothing is known then.
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
    """The path of the innermost module that holds all of these, with a dot behind; empty for the model."""
    split = [path.split(".")[:-1] for path in paths]
    shared = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)
