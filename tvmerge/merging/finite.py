"""Checks once, before a search starts, that a checkpoint's values are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tvmerge._util.canonical import digest
from tvmerge.errors import CheckpointError
from tvmerge.merging.deltas import Operand
from tvmerge.merging.overflow import limit_of
from tvmerge.merging.plan import Model, Plan


def check_plan(plan: Plan, dtype: torch.dtype | None = None) -> None:
    """Read every tensor of a merge once; see `check_finite`.

    Args:
        plan: The merge.
        dtype: The dtype of merged tensors, which must represent the target's numbers; None for the target's.
    """
    taking_part: dict[int, dict[str, None]] = {id(model): {} for model in plan.models.values()}
    for row in plan.rows:
        operands = [operand for term in row.terms for operand in term.delta.operands]
        for operand in (row.target, *operands):
            assert isinstance(operand, Operand)
            taking_part[id(operand.checkpoint)][operand.name] = None
    targets = {id(row.target.checkpoint) for row in plan.rows if isinstance(row.target, Operand)}
    for model in plan.models.values():
        limit = limit_of(dtype) if id(model) in targets else math.inf
        check_finite(model, list(taking_part.pop(id(model), {})), limit)


def check_finite(checkpoint: Model, names: Sequence[str], limit: float = math.inf) -> None:
    """Read tensors and check that they are finite.

    The result is cached by the checkpoint's content, so later runs do not read it again.

    Args:
        checkpoint: The model.
        names: Its tensors that are part of a merge.
        limit: The bound that its numbers must stay below.

    Raises:
        CheckpointError: A tensor has NaN, an infinity or a number beyond the limit; the message names it.
    """
    cache = checkpoint.digest_cache
    bound = [] if limit == math.inf else [limit]
    key = digest(["sound", checkpoint.digest, sorted(names), *bound]) if cache is not None else ""
    if cache is not None and cache.get(key) is True:
        return
    for name in names:
        _check_finite(checkpoint, name, limit)
    if cache is not None:
        cache.put(key, True)


def _check_finite(checkpoint: Model, name: str, limit: float) -> None:
    tensor = checkpoint.tensor(name)
    if tensor.numel() == 0:
        return
    low, high = (bound.item() for bound in torch.aminmax(tensor))
    if math.isfinite(low) and math.isfinite(high):
        if max(-low, high) >= limit:
            raise CheckpointError(
                f"{checkpoint.name}: tensor '{name}' holds {max(low, high, key=abs):g}, which is an infinity "
                "in float16; pass --dtype bfloat16 or float32"
            )
        return
    kind = "NaN" if math.isnan(low) or math.isnan(high) else "an infinity"
    raise CheckpointError(f"{checkpoint.name}: tensor '{name}' holds {kind}; the model is damaged")
