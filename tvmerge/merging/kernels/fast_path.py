"""The common case, seen as one expression: `target + weight * (tuned - base)`, whole and of one vector.

Nearly every tensor of nearly every merge is such a row. What is known to be one can be made in a single pass
over memory, by compiled code (`numba`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvmerge.merging.deltas import Difference, Operand
from tvmerge.merging.plan import Row


@dataclass(frozen=True, slots=True)
class FastPath:
    """A row of one whole difference.

    Attributes:
        operands: Target, tuned and base: tensors of one shape.
        weight: Never 0.
    """

    operands: tuple[Operand, Operand, Operand]
    weight: float


def fast_path(row: Row, values: Mapping[str, float]) -> FastPath | None:
    """`row` as one expression under a recipe, or None where it is none, or nothing is added."""
    if len(row.terms) != 1 or not row.plain or not isinstance(row.target, Operand):
        return None
    (term,) = row.terms
    weight = term.weight(values)
    if not isinstance(term.delta, Difference) or weight == 0:
        return None
    return FastPath((row.target, term.delta.tuned, term.delta.base), weight)
