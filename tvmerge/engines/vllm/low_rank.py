"""A merge whose task vectors are products of two small matrices, which vLLM adds as it computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tvmerge.errors import ConfigError
from tvmerge.merging.checkpoints.compatibility import complete
from tvmerge.merging.checkpoints.lora.deltas import Dora, Experts, LowRank, Scaled
from tvmerge.merging.checkpoints.lora.fit import is_by_token
from tvmerge.merging.methods import METHODS
from tvmerge.merging.overflow import check_merged

if TYPE_CHECKING:
    from tvmerge.merging.merge import Merge
    from tvmerge.merging.plan import Row, Term
    from tvmerge.records import Recipe

MATRIX = ".weight"
"""What the names of the matrices of modules end with."""

INSTEAD = "leave out --vllm-adapters to merge each candidate"
"""How errors end."""

_KINDS = {Dora: "DoRA", Experts: "factors of experts", Scaled: "a trained bias"}


@dataclass(frozen=True, slots=True)
class Factors:
    """What a candidate adds to the matrix of one module: b @ a.

    Attributes:
        a: (rank, inputs).
        b: (outputs, rank); contains the candidate's weight and the adapter's scale.
    """

    a: torch.Tensor
    b: torch.Tensor


class LowRankMerge:
    """A merge that only adds products of low rank to matrices of a target.

    Args:
        models: The opened merge. Each tuned model must be a LoRA adapter.

    Attributes:
        rank: The largest rank of what is added to a matrix, by all task vectors together.
        modules: The modules to which something may be added, by the target's names.

    Raises:
        ConfigError: Something else is added; the message says what.
    """

    def __init__(self, models: Merge) -> None:
        self._merger = models.merger
        self._rows = [row for row in models.merger.plan.rows if row.terms]
        _check(models, self._rows)
        self.rank = max((sum(_rank(term) for term in row.terms) for row in self._rows), default=0)
        self.modules = tuple(row.name.removesuffix(MATRIX) for row in self._rows)

    def check(self, recipe: Recipe) -> None:
        """Check that a recipe fits.

        Raises:
            CheckpointError: It does not.
        """
        self._merger.check(recipe)

    def factors(self, recipe: Recipe, dtype: torch.dtype) -> Iterator[tuple[str, Factors]]:
        """Yield what `recipe` adds to each module; nothing for modules whose weights are 0, except the first.

        The products are scaled in float32 and then rounded to `dtype`. A candidate whose weights are all 0 is
        an adapter, too: on a CPU, vLLM answers a request without one with the adapter of another request in
        the batch.

        Raises:
            CandidateError: A number is too large for float16.
        """
        values = dict(recipe.weights)
        for row in self._rows:
            weighted = [(term, weight) for term in row.terms if (weight := term.weight(values))]
            if not weighted and row is self._rows[0]:
                weighted = [(term, 0.0) for term in row.terms]
            if not weighted:
                continue
            parts = [(_factors_of(term), weight * _product(term).scale) for term, weight in weighted]
            a = torch.cat([a for (_, a), _ in parts], dim=0).to(dtype)
            b = torch.cat([b * scale for (b, _), scale in parts], dim=1).to(dtype)
            if dtype == torch.float16:
                check_merged(row.name, b)
            yield row.name.removesuffix(MATRIX), Factors(a, b)


def _product(term: Term) -> LowRank:
    assert isinstance(term.delta, LowRank)
    return term.delta


def _rank(term: Term) -> int:
    a = _product(term).factors[1]
    return a.checkpoint.specs[a.name].shape[0]


def _factors_of(term: Term) -> tuple[torch.Tensor, torch.Tensor]:
    b, a = (operand.checkpoint.tensor(operand.name).float() for operand in _product(term).factors)
    return b, a


def _check(models: Merge, rows: list[Row]) -> None:
    if models.experts:
        raise ConfigError(f"--vllm-adapters adds to one target, not to a mixture of experts; {INSTEAD}")
    tuned = {part: source for part, source in models.sources.items() if part.endswith("tuned")}
    for source in tuned.values():
        if not source.is_adapter:
            raise ConfigError(
                f"--vllm-adapters needs tuned models that are LoRA adapters, and {source.name} is a whole "
                f"model; {INSTEAD}"
            )
    if not rows:
        raise ConfigError(f"--vllm-adapters: no tensor of {models.target.name} has a weight; {INSTEAD}")
    found: dict[str, list[str]] = defaultdict(list)
    by_token = {name for own, name in complete(models.donor).names.items() if is_by_token(own, models.donor)}
    for row in rows:
        for term in row.terms:
            if what := _obstacle(row, term, by_token):
                found[what].append(row.name)
    names = ", ".join(dict.fromkeys(source.name for source in tuned.values()))
    for what, tensors in found.items():
        more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
        raise ConfigError(
            f"--vllm-adapters: vLLM's adapters cannot add {what} ({names}: {tensors[0]}{more}); {INSTEAD}"
        )


def _obstacle(row: Row, term: Term, by_token: set[str]) -> str:
    """Return what a term is that is no plain product for the matrix of a module; empty if it is one."""
    method, delta = METHODS.load(term.method), term.delta
    if method.sparsify is not None or method.combine is not None:
        return f"a vector made sparse by {term.method}"
    if row.name in by_token:
        return "to embeddings or head"
    if not isinstance(delta, LowRank):
        return _KINDS.get(type(delta), "a tensor that was trained as a whole")
    return "" if row.name.endswith(MATRIX) else "factors of a parameter of its own (target_parameters)"
