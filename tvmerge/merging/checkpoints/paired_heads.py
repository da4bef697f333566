"""Finds the prediction heads of a target in both models of a task vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint


def is_table(checkpoint: Checkpoint, name: str) -> bool:
    """Return whether a tensor of the heads has one row per token."""
    shape = checkpoint.specs[name].shape
    return len(shape) > 1 and shape[0] == checkpoint.structure.vocabulary


def pair_heads(
    target: Checkpoint, base: Checkpoint, tuned: Checkpoint
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Find the tensors of the target's prediction heads in both models of a task vector.

    Returns:
        By the target's name, the base's and the tuned model's names of tensors that both have; and why
        nothing is added to the others.
    """
    sides = [(model, model.heads) for model in (base, tuned)]
    pairs: dict[str, tuple[str, str]] = {}
    idle: dict[str, str] = {}
    for key, name in target.heads.items():
        lacking = [model.name for model, heads in sides if key not in heads]
        if lacking:
            idle[name] = (
                f"{' and '.join(dict.fromkeys(lacking))} {'have' if len(lacking) > 1 else 'has'} none"
            )
            continue
        found = [(model, heads[key]) for model, heads in sides]
        unlike = [model for model, own in found if not _alike(target, name, model, own)]
        if unlike:
            idle[name] = f"of another shape in {' and '.join(dict.fromkeys(model.name for model in unlike))}"
        else:
            pairs[name] = (found[0][1], found[1][1])
    return pairs, idle


def _alike(target: Checkpoint, name: str, other: Checkpoint, own: str) -> bool:
    shapes = target.specs[name].shape, other.specs[own].shape
    if is_table(target, name) and is_table(other, own):
        return shapes[0][1:] == shapes[1][1:]
    return shapes[0] == shapes[1]
