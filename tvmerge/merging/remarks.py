"""Remarks on a merge: one line each, with long lists in a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tvmerge.merging.plan import Plan

LISTING = "remarks.txt"
"""The name of the file with the complete lists."""

_SHOWN = 4
"""Number of names in a line before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on a merge.

    Attributes:
        text: The remark.
        names: What it is about, such as tensors; a line has the first ones and counts the rest.
        reason: The reason; empty if it is part of the text.
    """

    text: str
    names: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_long(self) -> bool:
        """Whether the line does not have all names."""
        return len(self.names) > _SHOWN

    def line(self, listing: object = None) -> str:
        """Return the remark as one line.

        Args:
            listing: The file with all names; None if there is none.
        """
        more = f" and {len(self.names) - _SHOWN} more" if self.is_long else ""
        names = f": {', '.join(self.names[:_SHOWN])}{more}" if self.names else ""
        place = f"; all are in {listing}" if self.is_long and listing is not None else ""
        return f"{self.text}{names}{self._because}{place}"

    @property
    def whole(self) -> str:
        """Return the remark with all names, one per line."""
        names = "".join(f"  {name}\n" for name in self.names)
        return f"{self.text}{self._because}{':' if names else ''}\n{names}"

    @property
    def _because(self) -> str:
        return f" ({self.reason})" if self.reason else ""


def listing(remarks: Iterable[Remark]) -> str | None:
    """Return the content of `LISTING`; None if no line leaves out names."""
    known = tuple(remarks)
    return "\n".join(remark.whole for remark in known) if any(r.is_long for r in known) else None


def on_tensors(plan: Plan) -> Iterator[Remark]:
    """Yield remarks on the tensors of a plan to which some vector is not added."""
    yield from _idle(plan)
    unused = set(plan.extra)
    if copied := tuple(name for name in plan.copies if name not in unused):
        yield Remark("copied, since they hold no floating-point numbers", copied)
    if unused_copies := tuple(name for name in plan.copies if name in unused):
        yield Remark("copied, since the model does not use them", unused_copies)
    if followers := tuple(row.name for row in plan.rows if row.name in unused and row.terms):
        yield Remark("weighted as the last layer, since no answer depends on them", followers)
    if plan.constants:
        yield Remark("the same for every weight, since they are the mixture's routers", tuple(plan.constants))


def _idle(plan: Plan) -> Iterator[Remark]:
    """Yield a remark for each reason and set of vectors that are not added for this reason."""
    vectors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for vector, reasons in plan.idle.items():
        for name, reason in reasons.items():
            vectors[reason, name].append(vector)
    tensors: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (reason, name), leaving in vectors.items():
        tensors[reason, tuple(leaving)].append(name)
    for (reason, leaving_it), names in tensors.items():
        whole = len(leaving_it) == len(plan.idle)
        text = "no weight, as in the target" if whole else f"no weight of {' and '.join(leaving_it)}"
        yield Remark(text, tuple(names), reason)
