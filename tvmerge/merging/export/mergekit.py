"""Writes `mergekit.yml`, with which mergekit makes the same merge, if mergekit supports it.

mergekit's task arithmetic adds weighted differences from one base model, so the target is that base and every
vector becomes two entries: + weight * (tuned - target) and - weight * (base - target). In float32 with one
rounding at the end the sum is the same but for the order of additions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.deltas import Difference, Operand
from tvmerge.merging.dtypes import torch_name
from tvmerge.merging.methods import METHODS
from tvmerge.merging.plan import Plan, Term
from tvmerge.records import Recipe

Weights = dict[str, float]


def not_expressible(
    plan: Plan, folders: Sequence[str], *, mixture: bool, original: bool, untied: bool
) -> str | None:
    """Return why mergekit cannot make this merge; None if it can.

    Args:
        plan: The merge.
        folders: The names of local models.
        mixture: Whether it is a mixture of experts.
        original: Whether its arithmetic is that of the original script.
        untied: Whether it unties the head of a target.
    """
    pairs = [(row, term) for row in plan.rows for term in row.terms]
    methods = {term.method: METHODS.load(term.method) for _, term in pairs}
    unknown = [name for name, method in methods.items() if method.mergekit is None]
    objections = {
        "mergekit makes mixtures of dense models on disk only (mergekit-moe), with gates of its own": mixture,
        "the original script's order of bfloat16 roundings is its own": original,
        "mergekit keeps a tied head tied to the embeddings": untied,
        "adapters, and tokens matched between vocabularies, have no counterpart in mergekit": not all(
            isinstance(term.delta, Difference) and isinstance(term.delta.tuned.checkpoint, Checkpoint)
            for _, term in pairs
        ),
        _no_counterpart(unknown): bool(unknown),
        "mergekit's ties knows only models that were tuned from the target itself": any(
            method.mergekit == "ties" for method in methods.values()
        )
        and not (len(methods) == 1 and all(_from_target(row.target, term) for row, term in pairs)),
        "mergekit selects tensors by a part of their names, and some name is part of another": _nested(
            [row.name for row in plan.rows]
        ),
        "mergekit reads @ and + in a folder's name as a revision and an adapter": any(
            sign in folder for folder in folders for sign in "@+"
        ),
        "the target keeps tensors in several formats": len({row.spec.dtype for row in plan.rows}) > 1,
    }
    return next((reason for reason, holds in objections.items() if holds), None)


def mergekit_yaml(plan: Plan, recipe: Recipe, names: Mapping[int, str], dtype: str) -> str:
    """Return the configuration with which mergekit writes the merged model of `recipe`.

    Args:
        plan: A merge for which `not_expressible` returns None.
        recipe: Its weights.
        names: mergekit's name of each checkpoint, by its `id`.
        dtype: The dtype of the merged tensors, by torch's name.
    """
    weights: dict[str, Weights] = defaultdict(dict)
    densities: dict[str, float] = {}
    methods = {METHODS.load(term.method).mergekit for row in plan.rows for term in row.terms}
    ties = methods == {"ties"}
    assert ties or methods <= {"task_arithmetic"}, "what has an objection is not written"
    target = ""
    for row in plan.rows:
        assert isinstance(row.target, Operand)
        target = names[id(row.target.checkpoint)]
        for term in row.terms:
            assert isinstance(term.delta, Difference)
            weight = term.weight(recipe.weights)
            tuned, base = (names[id(o.checkpoint)] for o in term.delta.operands)
            weights[tuned][row.name] = weights[tuned].get(row.name, 0.0) + weight
            densities[tuned] = recipe.weights[term.density] if isinstance(term.density, str) else term.density
            if not _from_target(row.target, term):
                weights[base][row.name] = weights[base].get(row.name, 0.0) - weight
    kinds: dict[str, list[str]] = defaultdict(list)
    for row in plan.rows:
        kinds[json.dumps([[t.share, w.get(row.name)] for t in row.terms for w in weights.values()])].append(
            row.name
        )
    lines = [
        f"merge_method: {'ties' if ties else 'task_arithmetic'}",
        f"base_model: {json.dumps(target)}",
        "models:",
    ]
    filters = [
        (pattern, tensors[0])
        for tensors in kinds.values()
        for pattern in selecting(tensors, [r.name for r in plan.rows])
    ]
    for model, by_tensor in weights.items():
        lines += [f"  - model: {json.dumps(model)}", "    parameters:"]
        if ties:
            lines.append(f"      density: {_number(densities[model])}")
        lines.append("      weight:")
        for pattern, tensor in filters:
            if by_tensor.get(tensor, 0.0):
                lines.append(
                    f"        - {{filter: {json.dumps(pattern)}, value: {_number(by_tensor[tensor])}}}"
                )
        lines.append("        - {value: 0.0}")
    if ties:
        lines += ["parameters:", "  normalize: false"]
    return "\n".join([*lines, "dtype: float32", f"out_dtype: {dtype}", ""])


def _no_counterpart(methods: Sequence[str]) -> str:
    """Return why mergekit does not support the first of these methods."""
    if not methods:
        return ""
    return METHODS.load(methods[0]).no_mergekit or f"mergekit has no counterpart of the method {methods[0]}"


def output_dtype(plan: Plan, dtype: str | None) -> str:
    """Return the dtype of merged tensors by torch's name: `dtype`, or the target's only one."""
    return dtype or torch_name(plan.rows[0].spec.dtype)


def _from_target(target: object, term: Term) -> bool:
    """Return whether a vector's base is the target itself."""
    return isinstance(term.delta, Difference) and term.delta.base == target


def selecting(tensors: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return a few texts of which exactly these tensors' names contain one, as mergekit selects tensors.

    Of texts that select the same tensors, the longest is the clearest: `model.layers.3.`, not `3`.
    """
    wanted = set(tensors)
    others = "\n".join(name for name in names if name not in wanted)
    left = list(tensors)
    found = []
    while left:
        dotted = f".{left[0]}."
        cuts = [i for i, letter in enumerate(dotted) if letter == "."]
        pieces = {dotted[a : b + 1] for i, a in enumerate(cuts) for b in cuts[i + 1 :]}
        # The first part of a name has no dot before it, and the last none after it.
        texts = {t for p in pieces for t in (p, p[1:], p[:-1], p[1:-1]) if t and t in left[0]}
        good = [text for text in texts if text not in others]
        best = max(good, key=lambda text: (sum(text in name for name in left), len(text), text))
        found.append(best)
        left = [name for name in left if best not in name]
    return found


def _nested(names: Sequence[str]) -> bool:
    """Return whether a name is part of another, as `norm.weight` of `layers.0.input_layernorm.weight`."""
    text = "\n".join(names)
    return any(text.count(name) > 1 for name in names)


def _number(value: float) -> str:
    # YAML reads numbers in scientific notation without a decimal point as text.
    text = repr(float(value))
    return format(value, ".30f") if "e" in text else text
