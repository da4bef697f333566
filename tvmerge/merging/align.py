"""Aligns a target and its task vectors, tensor by tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvmerge._util.canonical import canonical_json
from tvmerge.merging.additions import OpenVector, additions, head_additions, match, token_remarks
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.compatibility import check_structures, complete
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.checkpoints.lora.fit import is_by_token
from tvmerge.merging.checkpoints.paired_heads import is_table
from tvmerge.merging.checkpoints.vocabulary import Matched
from tvmerge.merging.deltas import Operand
from tvmerge.merging.groups import group_tensors
from tvmerge.merging.methods import METHODS
from tvmerge.merging.plan import Row, Term
from tvmerge.merging.remarks import Remark
from tvmerge.merging.request import Vocabulary


@dataclass(frozen=True, slots=True)
class Aligned:
    """A target with its aligned vectors.

    Attributes:
        rows: Its float tensors in model order, those of prediction heads last.
        unchanged: Names of its tensors that are copied: integers, booleans, and unused tensors except
            prediction heads.
        extra: Names of its tensors that the model does not use.
        idle: For each vector, the tensors it is not added to and why.
        matched: The tokens in common, for each vector whose vocabulary differs.
        tokens: Digest of the matched rows of each such vector, since the matching depends on more than the
            models' files.
    """

    rows: tuple[Row, ...]
    unchanged: tuple[str, ...]
    extra: tuple[str, ...]
    idle: Mapping[str, Mapping[str, str]]
    matched: tuple[Remark, ...]
    tokens: Mapping[str, str]


def align(
    target: Checkpoint,
    vectors: Sequence[OpenVector],
    *,
    vocabulary: Vocabulary = "align",
    prefix: str = "",
    seed: int = 0,
) -> Aligned:
    """Align task vectors with the tensors of a target, reading headers only.

    Args:
        target: The target model.
        vectors: The task vectors.
        vocabulary: What happens to embeddings and head if tokens differ.
        prefix: The prefix of the names of all weights.
        seed: Seed of `dare`.

    Raises:
        CheckpointError: The models do not fit together; the message names every tensor concerned.
        ConfigError: The rules of a vector do not fit the model.
    """
    own = complete(target)
    sides = [
        _side(
            target,
            vector,
            vocabulary,
            prefix if len(vectors) == 1 else f"{prefix}{vector.settings.name}/",
            seed,
        )
        for vector in vectors
    ]
    floats = [n for key, n in own.names.items() if (place := target.structure.place(key)) and place.is_float]
    heads = set(target.heads.values())
    floats += target.heads.values()
    rows = tuple(
        Row(
            name,
            Operand(target, name),
            target.specs[name],
            tuple(side.terms[name] for side in sides if name in side.terms),
        )
        for name in floats
    )
    # In model order, not in the order the reasons were found.
    idle = {
        vector.settings.name: {name: side.idle[name] for name in floats if name in side.idle}
        for vector, side in zip(vectors, sides, strict=True)
    }
    whole_numbers = [name for name in own.names.values() if name not in set(floats)]
    matched = tuple(remark for side in sides for remark in side.matched)
    unused = [name for name in own.extra if name not in heads]
    tokens = {
        vector.settings.name: side.tokens
        for vector, side in zip(vectors, sides, strict=True)
        if side.tokens is not None
    }
    return Aligned(rows, (*whole_numbers, *unused), own.extra, idle, matched, tokens)


@dataclass(frozen=True, slots=True)
class _Side:
    """The deltas of one vector, by the target's tensor names."""

    terms: Mapping[str, Term]
    idle: Mapping[str, str]
    matched: tuple[Remark, ...]
    tokens: str | None


def _side(target: Checkpoint, vector: OpenVector, vocabulary: Vocabulary, prefix: str, seed: int) -> _Side:
    settings, tuned = vector.settings, vector.tuned
    models = [vector.base] if isinstance(tuned, Adapter) else [vector.base, tuned]
    check_structures(target.structure, [m.structure for m in models], any_vocabulary=vocabulary != "error")
    shared = match(target, vector, vocabulary)
    heads = list(target.heads.values())
    grouping = group_tensors(target.structure, target.arrangement, settings.rules, heads)
    names = complete(target).names
    by_token = {name for own, name in names.items() if is_by_token(own, target)}
    by_token |= {name for name in heads if is_table(target, name)}
    added = additions(target, vector, shared)
    further, unpaired = head_additions(target, vector, shared)
    deltas = {name: added[own] for own, name in names.items() if own in added} | further
    idle = {**unpaired, **grouping.idle}
    idle |= {
        name: f"{tuned.name} does not adapt it"
        for name in grouping.shares
        if name not in deltas and name not in idle
    }
    if shared == "skip":
        idle |= dict.fromkeys(
            by_token & grouping.shares.keys(), f"tokens of {tuned.name} differ, with --vocab skip"
        )
    density = settings.density if isinstance(settings.density, float | int) else f"{prefix}density"
    terms = {
        name: Term(
            deltas[name],
            tuple((f"{prefix}{weight}", factor) for weight, factor in share),
            settings.method,
            density,
            _seed(seed, prefix, name) if METHODS.load(settings.method).random else 0,
        )
        for name, share in grouping.shares.items()
        if name not in idle
    }
    tokens = shared.rows.digest if isinstance(shared, Matched) else None
    return _Side(terms, idle, token_remarks(vector, shared), tokens)


def _seed(seed: int, prefix: str, name: str) -> int:
    """Return a seed for a vector and tensor, so that results do not depend on threads and order."""
    content = hashlib.sha256(canonical_json([seed, prefix, name]).encode()).digest()
    return int.from_bytes(content[:8], "little") >> 1
