"""The common case, seen as one expression: `target + weight * (tuned - base)`, whole and of one vector.

Nearly every tensor of nearly every merge is such a row. What is known to be one can be made in a single pass
over memory: by compiled code here (`native`) or beside a model on an accelerator (`device`).
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
    operands = sources(row)
    weight = row.terms[0].weight(values) if operands else 0
    return FastPath(operands, weight) if operands and weight != 0 else None


def sources(row: Row) -> tuple[Operand, Operand, Operand] | None:
    """Target, tuned and base of a row that is one whole difference; None for any other row."""
    if len(row.terms) != 1 or not row.plain or not isinstance(row.target, Operand):
        return None
    delta = row.terms[0].delta
    return (row.target, delta.tuned, delta.base) if isinstance(delta, Difference) else None
