"""Remarks on a merge: one line each, with long lists in a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tvmerge.merging.plan import Plan

LISTING = "remarks.txt"
"""Name of the file that lists whole what a line cannot."""

_SHOWN = 4
"""Names listed in a line before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something people should know of a merge.

    Attributes:
        text: What it is.
        names: What it is about, such as tensors; of many a line has the first ones and counts the rest.
        reason: Why it is so; empty where the text says it.
    """

    text: str
    names: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_long(self) -> bool:
        """Whether a line leaves names out."""
        return len(self.names) > _SHOWN

    def line(self, listing: object = None) -> str:
        """The remark in a line.

        Args:
            listing: Where all of its names stand, for people; None: nowhere.
        """
        more = f" and {len(self.names) - _SHOWN} more" if self.is_long else ""
        names = f": {', '.join(self.names[:_SHOWN])}{more}" if self.names else ""
        place = f"; all are in {listing}" if self.is_long and listing is not None else ""
        return f"{self.text}{names}{self._because}{place}"

    @property
    def whole(self) -> str:
        """The remark with every name, a line each."""
        names = "".join(f"  {name}\n" for name in self.names)
        return f"{self.text}{self._because}{':' if names else ''}\n{names}"

    @property
    def _because(self) -> str:
        return f" ({self.reason})" if self.reason else ""


def listing(remarks: Iterable[Remark]) -> str | None:
    """The content of `LISTING`; None where lines say everything."""
    known = tuple(remarks)
    return "\n".join(remark.whole for remark in known) if any(r.is_long for r in known) else None


def on_tensors(plan: Plan) -> Iterator[Remark]:
    """What happened to the tensors of a plan to which some vector is not added."""
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
    """A remark for every reason, and for every set of vectors that leave tensors alone for it."""
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
