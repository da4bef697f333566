"""Plans a mixture of experts from several dense targets, each with its task vectors.

Embeddings, attention and norms come from one of them, and each MLP becomes an expert. Only tensors that are
used have weights, so no dimension of the search is without effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import AutoConfig

from tvmerge.errors import CheckpointError
from tvmerge.merging.additions import OpenVector
from tvmerge.merging.align import Aligned, align
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.compatibility import check_structures, complete
from tvmerge.merging.checkpoints.vocabulary import same_tokens
from tvmerge.merging.dtypes import torch_dtype
from tvmerge.merging.moe.config import mixture_config
from tvmerge.merging.moe.gates import draw_gates, hidden_gates
from tvmerge.merging.moe.layouts import Layout, layout_for
from tvmerge.merging.plan import Row
from tvmerge.merging.remarks import Remark
from tvmerge.merging.request import MergeRequest

SHARED = "shared/"
"""Prefix of the weights of a base that is not one of the experts."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The plan of a mixture.

    Attributes:
        rows: Its tensors except the routers, layer by layer.
        idle: For each vector, the tensors it is not added to and why.
        gates: The routers by name.
        config: Its `config.json`.
        experts: Each target as a dense model, with the mixture's weights for its parts.
        matched: Remarks on the tokens in common.
    """

    rows: tuple[Row, ...]
    idle: Mapping[str, Mapping[str, str]]
    gates: dict[str, torch.Tensor]
    config: dict[str, Any]
    experts: tuple[Aligned, ...]
    matched: tuple[Remark, ...]


def align_mixture(
    targets: Sequence[Checkpoint],
    base: Checkpoint | None,
    vectors: Sequence[OpenVector],
    request: MergeRequest,
) -> Mixture:
    """Plan a mixture of experts.

    Args:
        targets: The dense models whose MLPs become experts, at least two.
        base: The model that gives embeddings, attention and norms; None for the first target.
        vectors: The task vectors that are added to each of them.
        request: The merge request.

    Raises:
        CheckpointError: The family of a model is not supported, or the models do not fit together.
    """
    donor = base or targets[0]
    layout = _check(targets, donor, request)
    experts = tuple(
        align(target, vectors, vocabulary=request.vocabulary, prefix=expert_prefix(number), seed=request.seed)
        for number, target in enumerate(targets)
    )
    shared = experts[0]
    if base is not None:
        shared = align(base, vectors, vocabulary=request.vocabulary, prefix=SHARED, seed=request.seed)
    config = mixture_config(
        _dense_config(donor),
        layout,
        experts=len(targets),
        per_token=request.mixture.experts_per_token,
    )
    parts = list(_parts(layout, donor, shared, targets, experts))
    return Mixture(
        rows=tuple(replace(row, name=name) for name, row, _ in parts),
        idle={
            vector: {
                name: aligned.idle[vector][row.name]
                for name, row, aligned in parts
                if row.name in aligned.idle[vector]
            }
            for vector in shared.idle
        },
        gates=_gates(layout, donor, len(targets), request),
        config=config,
        experts=tuple(
            _as_dense(layout, donor, shared, target, aligned)
            for target, aligned in zip(targets, experts, strict=True)
        ),
        matched=tuple(dict.fromkeys(line for aligned in (shared, *experts) for line in aligned.matched)),
    )


def expert_prefix(number: int) -> str:
    """Return the prefix of the names of an expert's weights."""
    return f"experts.{number}/"


def _parts(
    layout: Layout,
    donor: Checkpoint,
    shared: Aligned,
    targets: Sequence[Checkpoint],
    experts: Sequence[Aligned],
) -> Iterator[tuple[str, Row, Aligned]]:
    """Yield each tensor's name in the mixture, the dense row it is made from, and the plan of that row."""
    own_names = _inverse(donor)
    matrices = [
        {own: row for row in aligned.rows if (own := _inverse(target).get(row.name))}
        for target, aligned in zip(targets, experts, strict=True)
    ]
    for row in shared.rows:
        own = own_names.get(row.name)
        if own is None:  # of a prediction head, which a mixture does not have
            continue
        if layout.expert_name(own, 0) is None:
            yield own, row, shared
            continue
        for number, (aligned, expert) in enumerate(zip(experts, matrices, strict=True)):
            name = layout.expert_name(own, number)
            assert name is not None
            yield name, expert[own], aligned


def _as_dense(
    layout: Layout, donor: Checkpoint, shared: Aligned, target: Checkpoint, expert: Aligned
) -> Aligned:
    """Return an expert as a dense model, whose shared parts get the same deltas as the mixture's."""
    own_names, of_donor = _inverse(target), _inverse(donor)
    terms = {of_donor[row.name]: row.terms for row in shared.rows}
    rows = tuple(
        row if layout.expert_name(own := own_names[row.name], 0) else replace(row, terms=terms[own])
        for row in expert.rows
    )
    return replace(expert, rows=rows)


def _inverse(checkpoint: Checkpoint) -> dict[str, str]:
    return {name: own for own, name in complete(checkpoint).names.items()}


def _gates(layout: Layout, donor: Checkpoint, experts: int, request: MergeRequest) -> dict[str, torch.Tensor]:
    config = _dense_config(donor)
    if request.mixture.gate == "hidden":
        gates = hidden_gates(donor, request.mixture.prompts)
    else:
        shape = (donor.structure.layers, experts, config.hidden_size)
        gates = draw_gates(request.mixture, shape=shape, spread=config.initializer_range)
    spec = next(iter(donor.specs.values()))
    dtype = getattr(torch, request.dtype) if request.dtype else torch_dtype(spec.dtype)
    prefix = f"{donor.structure.prefix}.layers"
    return {f"{prefix}.{layer}.{layout.gate}": gate.to(dtype) for layer, gate in enumerate(gates)}


def _check(targets: Sequence[Checkpoint], donor: Checkpoint, request: MergeRequest) -> Layout:
    layout = layout_for(donor.structure.model_type)
    if layout is None:
        raise CheckpointError(
            f"{donor.name} is a {donor.structure.model_type}; mixtures are made from llama, mistral or qwen3"
        )
    if request.arithmetic == "original":
        raise CheckpointError("arithmetic original makes dense models; leave it out for a mixture of experts")
    check_structures(donor.structure, [target.structure for target in targets])
    models = list({id(model): model for model in (donor, *targets)}.values())
    problems = [
        f"{model.name}: {reason}"
        for model in models
        for reason in layout.refusals(_dense_config(model).to_dict())
    ]
    tables = [model.vocabulary for model in models]
    problems += [table.problem for table in tables if table.problem]
    if not problems and not same_tokens(*tables):
        problems.append("the target models number their tokens differently, and a mixture has one tokenizer")
    if problems:
        raise CheckpointError(f"no mixture of experts can be made: {'; '.join(problems)}")
    return layout


def _dense_config(checkpoint: Checkpoint) -> Any:
    if checkpoint.changed is not None:
        return AutoConfig.for_model(**checkpoint.changed)
    factory: Any = AutoConfig
    return factory.from_pretrained(checkpoint.folder)
