"""The deltas that a task vector adds to the tensors of a target, given their shared tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.compatibility import complete, counterparts
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.checkpoints.lora.fit import is_by_token
from tvmerge.merging.checkpoints.paired_heads import is_table, pair_heads
from tvmerge.merging.checkpoints.vocabulary import (
    Matched,
    Shared,
    Unchecked,
    Vocabulary,
    read_vocabulary,
    share_tokens,
)
from tvmerge.merging.deltas import Delta, Difference, Operand, TokenDifference, TokenRows
from tvmerge.merging.remarks import Remark
from tvmerge.merging.request import TaskVector
from tvmerge.merging.request import Vocabulary as Policy
from tvmerge.pretrained.tokenizer import vocabulary_files


@dataclass(frozen=True, slots=True)
class OpenVector:
    """A task vector with its opened models."""

    settings: TaskVector
    base: Checkpoint
    tuned: Checkpoint | Adapter


def match(target: Checkpoint, vector: OpenVector, policy: Policy) -> Shared:
    """Decide what happens to embeddings and head.

    Raises:
        CheckpointError: Tokens differ, and the policy is `error` or they cannot be matched.
    """
    tuned, base = vector.tuned, vector.base.vocabulary
    if not isinstance(tuned, Adapter):
        return share_tokens(target.vocabulary, base, tuned.vocabulary, policy)
    adapted = [part for own, part in tuned.parts.items() if is_by_token(own, tuned.base)]
    if not adapted:
        return None
    shared = share_tokens(target.vocabulary, base, _adapter_tokens(tuned, base), policy)
    if isinstance(shared, Matched) and any(part.magnitude is not None for part in adapted):
        raise CheckpointError(
            f"{tuned.name} adapts embeddings or head by DoRA, and tokens differ; pass --vocab skip to leave "
            "those alone, or merge it into its base with peft and pass the result"
        )
    return shared


def token_remarks(vector: OpenVector, shared: Shared) -> tuple[Remark, ...]:
    """Return remarks on a vector's tokens."""
    tuned, rows = vector.tuned, vector.base.structure.vocabulary
    found = shared.remarks(tuned.name) if isinstance(shared, Matched | Unchecked) else ()
    if not isinstance(tuned, Adapter) or tuned.rows in {None, rows}:
        return found
    fate = (
        f"of its {tuned.rows} rows, those of tokens that {vector.base.name} lacks add nothing"
        if vocabulary_files(tuned.folder)
        else f"it has no tokenizer, so the first {rows} of its {tuned.rows} rows are taken for the "
        f"tokens of {vector.base.name}, and the others add nothing"
    )
    return (*found, Remark(f"tokens: {tuned.name}: {fate}"))


def additions(target: Checkpoint, vector: OpenVector, shared: Shared) -> dict[str, Delta]:
    """Return what is added to each tensor for weight 1, by the target's name of it.

    Tied tensors are included under all of their names, as if each were a separate tensor.

    Raises:
        CheckpointError: A file does not match its configuration, or stores its tensors in another layout.
    """
    tuned, base = vector.tuned, vector.base
    rows = shared.rows if isinstance(shared, Matched) else None
    in_base, found = _twins(target, base), tensors_of(base)
    deltas: dict[str, Delta] = {}
    if isinstance(tuned, Adapter):
        for own, twin in in_base.items():
            by_token = is_by_token(own, target)
            part = tuned.parts.get(twin)
            delta = part.delta(rows if by_token else None, _rows(target, own)) if part is not None else None
            if delta is not None:
                deltas[own] = delta
        return deltas
    in_tuned, learnt = _twins(target, tuned), tensors_of(tuned)
    for own, twin in in_base.items():
        pair = Operand(tuned, learnt[in_tuned[own]]), Operand(base, found[twin])
        deltas[own] = _difference(*pair, rows if is_by_token(own, target) else None)
    return deltas


def head_additions(
    target: Checkpoint, vector: OpenVector, shared: Shared
) -> tuple[dict[str, Delta], dict[str, str]]:
    """Return the deltas of tensors of prediction heads, and why others have none, by name."""
    tuned, base = vector.tuned, vector.base
    if isinstance(tuned, Adapter):
        return {}, {}
    rows = shared.rows if isinstance(shared, Matched) else None
    pairs, idle = pair_heads(target, base, tuned)
    found = {
        name: _difference(
            Operand(tuned, learnt), Operand(base, own), rows if is_table(target, name) else None
        )
        for name, (own, learnt) in pairs.items()
    }
    return found, idle


def tensors_of(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the checkpoint's name of each tensor, including tied ones, by the model's name of it."""
    arrangement = complete(checkpoint)
    return {**arrangement.tied, **arrangement.names}


def _difference(tuned: Operand, base: Operand, rows: TokenRows | None) -> Delta:
    return Difference(tuned, base) if rows is None else TokenDifference(tuned, base, rows)


def _twins(target: Checkpoint, other: Checkpoint) -> dict[str, str]:
    """Return the other's name of each float tensor of the language model, by the target's name of it."""
    counterparts(target, other)  # raises for missing tensors
    theirs = {other.structure.key(own): own for own in tensors_of(other)}
    return {
        own: theirs[key]
        for own in tensors_of(target)
        if (place := target.structure.place(own)) is not None
        and place.is_float
        and (key := target.structure.key(own)) is not None
        and key in theirs
    }


def _rows(target: Checkpoint, own: str) -> int:
    place = target.structure.place(own)
    return 0 if place is None else place.shape[0]


def _adapter_tokens(adapter: Adapter, base: Vocabulary) -> Vocabulary:
    """Return the vocabulary of an adapter's tokenizer, or else that of its base."""
    rows = base.rows if adapter.rows is None else adapter.rows
    found = read_vocabulary(adapter.folder, adapter.name, rows)
    return found if found.ids is not None or found.problem else replace(base, name=adapter.name, rows=rows)
