"""A target and its task vectors, laid side by side tensor by tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tvmerge.canonical import canonical_json
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoint import Checkpoint
from tvmerge.merging.compatibility import check_structures, complete, counterparts
from tvmerge.merging.deltas import Delta, Difference, LowRank, Operand, TokenDifference
from tvmerge.merging.groups import group_tensors
from tvmerge.merging.heads import is_table, pair_heads
from tvmerge.merging.lora import Adapter
from tvmerge.merging.plan import Row, Term
from tvmerge.merging.request import TaskVector, Vocabulary
from tvmerge.merging.vocabulary import Matched, read_vocabulary, same_tokens, share_tokens
from tvmerge.merging.vocabulary import Vocabulary as Tokens


@dataclass(frozen=True, slots=True)
class OpenVector:
    """A task vector with its models open."""

    settings: TaskVector
    base: Checkpoint
    tuned: Checkpoint | Adapter


@dataclass(frozen=True, slots=True)
class Laid:
    """A target with its vectors.

    Attributes:
        rows: Its floating-point tensors, in model order; those of prediction heads last.
        unchanged: Names of its tensors that are copied: integers, booleans, and what the model does not use
            but prediction heads.
        extra: Names of its tensors that the model does not use.
        idle: Each vector's name -> the tensors it is not added to -> why it is not.
        matched: What vocabularies have in common, one line for each vector that needed it.
    """

    rows: tuple[Row, ...]
    unchanged: tuple[str, ...]
    extra: tuple[str, ...]
    idle: Mapping[str, Mapping[str, str]]
    matched: tuple[str, ...]


def lay_out(
    target: Checkpoint,
    vectors: Sequence[OpenVector],
    *,
    vocabulary: Vocabulary = "align",
    prefix: str = "",
    seed: int = 0,
) -> Laid:
    """Lay task vectors beside the tensors of a target, from headers alone.

    Args:
        target: The model that gets them.
        vectors: What is added.
        vocabulary: What happens to embeddings and head where tokens differ.
        prefix: What the names of all weights start with.
        seed: Decides what `dare` drops.

    Raises:
        CheckpointError: The models do not fit together; names every tensor concerned.
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
    # In model order, whatever order the reasons were found in.
    idle = {
        vector.settings.name: {name: side.idle[name] for name in floats if name in side.idle}
        for vector, side in zip(vectors, sides, strict=True)
    }
    whole_numbers = [name for name in own.names.values() if name not in set(floats)]
    matched = tuple(side.matched for side in sides if side.matched)
    unused = [name for name in own.extra if name not in heads]
    return Laid(rows, (*whole_numbers, *unused), own.extra, idle, matched)


@dataclass(frozen=True, slots=True)
class _Side:
    """What one vector adds: by the target's tensor names."""

    terms: Mapping[str, Term]
    idle: Mapping[str, str]
    matched: str


def _side(target: Checkpoint, vector: OpenVector, vocabulary: Vocabulary, prefix: str, seed: int) -> _Side:
    settings, tuned = vector.settings, vector.tuned
    models = [vector.base] if isinstance(tuned, Adapter) else [vector.base, tuned]
    check_structures(target.structure, [m.structure for m in models], any_vocabulary=vocabulary != "error")
    shared = _match(target, vector, vocabulary)
    heads = list(target.heads.values())
    grouping = group_tensors(target.structure, target.arrangement, settings.rules, heads)
    by_token = {
        name
        for own, name in complete(target).names.items()
        if (place := target.structure.place(own)) and place.by_token
    }
    by_token |= {name for name in heads if is_table(target, name)}
    deltas = _deltas(target, vector, by_token, shared)
    idle = {**_without_partner(target, vector), **grouping.idle}
    idle |= {
        name: f"{tuned.name} does not adapt it"
        for name in grouping.shares
        if name not in deltas and name not in idle
    }
    if shared == "skip":
        idle |= dict.fromkeys(
            by_token & grouping.shares.keys(), f"tokens of {tuned.name} differ, and --vocab skip"
        )
    density = settings.density if isinstance(settings.density, float | int) else f"{prefix}density"
    terms = {
        name: Term(
            deltas[name],
            tuple((f"{prefix}{weight}", factor) for weight, factor in share),
            settings.method,
            density,
            _seed(seed, prefix, name) if settings.method == "dare" else 0,
        )
        for name, share in grouping.shares.items()
        if name not in idle
    }
    matched = f"{tuned.name}: {shared}" if isinstance(shared, Matched) else ""
    return _Side(terms, idle, matched)


def _match(
    target: Checkpoint, vector: OpenVector, vocabulary: Vocabulary
) -> Matched | Literal["skip"] | None:
    tuned = vector.tuned
    if isinstance(tuned, Adapter):
        return _match_adapter(target, tuned, vocabulary)
    return share_tokens(_tokens(target), _tokens(vector.base), _tokens(tuned), vocabulary)


def _tokens(model: Checkpoint) -> Tokens:
    return read_vocabulary(model.folder, model.name, model.structure.vocabulary)


def _match_adapter(target: Checkpoint, adapter: Adapter, vocabulary: Vocabulary) -> Literal["skip"] | None:
    base = adapter.base
    if same_tokens(_tokens(target), _tokens(base)):
        return None
    by_token = [
        name for own, name in complete(base).names.items() if (p := base.structure.place(own)) and p.by_token
    ]
    if vocabulary != "skip" and any(name in {*adapter.factors, *adapter.replaced} for name in by_token):
        raise CheckpointError(
            f"{adapter.name} adapts embeddings or head, and {target.name} has other tokens than {base.name}; "
            "pass --vocab skip to leave those alone, or merge the adapter into its base first"
        )
    return "skip"


def _deltas(
    target: Checkpoint, vector: OpenVector, by_token: set[str], shared: Matched | str | None
) -> dict[str, Delta]:
    """The target's tensor name -> what the vector adds to it for weight 1."""
    tuned, in_base = vector.tuned, counterparts(target, vector.base)
    if isinstance(tuned, Adapter):
        return {
            name: delta
            for name, own in in_base.items()
            if (delta := _adapted(tuned, own, vector.base)) is not None
        }
    in_tuned = counterparts(target, tuned)
    heads, _ = pair_heads(target, vector.base, tuned)
    pairs = {name: (own, in_tuned[name]) for name, own in in_base.items()} | heads
    deltas: dict[str, Delta] = {}
    for name, (own, learnt) in pairs.items():
        pair = Operand(tuned, learnt), Operand(vector.base, own)
        if isinstance(shared, Matched) and name in by_token:
            deltas[name] = TokenDifference(*pair, shared.rows)
        else:
            deltas[name] = Difference(*pair)
    return deltas


def _without_partner(target: Checkpoint, vector: OpenVector) -> dict[str, str]:
    """The target's tensors that a vector has nothing for -> why."""
    if isinstance(vector.tuned, Adapter):
        return {}
    return pair_heads(target, vector.base, vector.tuned)[1]


def _adapted(adapter: Adapter, tensor: str, base: Checkpoint) -> Delta | None:
    if (factors := adapter.factors.get(tensor)) is not None:
        left, right = Operand(adapter, factors.left), Operand(adapter, factors.right)
        return LowRank(left, right, factors.flipped, factors.scale)
    if (key := adapter.replaced.get(tensor)) is not None:
        return Difference(Operand(adapter, key), Operand(base, tensor))
    return None


def _seed(seed: int, prefix: str, name: str) -> int:
    """Depends on vector and tensor, so that threads and order do not matter."""
    content = hashlib.sha256(canonical_json([seed, prefix, name]).encode()).digest()
    return int.from_bytes(content[:8], "little") >> 1
