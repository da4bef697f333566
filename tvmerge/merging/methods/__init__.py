"""Methods: how a task vector is made sparse before it is added. Each module here is one, found by its name.

A new method is a module that defines `METHOD`, a `Method`: a file in this folder, or one of an installed
package, which names it as an entry point:

    [project.entry-points."tvmerge.methods"]
    head = "my_package.head"

Then `--method head --density 0.2` takes it. The study's fingerprint has its name, its density, its seeds and,
of an installed package, the version.

A formula other than `target + weight * (tuned - base)` is not a method but another `Merger`
(`tvmerge/protocols.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    import torch

    from tvmerge.merging.deltas import Reader


class Sparsify(Protocol):
    """Makes a task vector sparse in one tensor."""

    def __call__(
        self, reader: Reader, density: float, *, shape: tuple[int, int], chunk: int, seed: int
    ) -> Reader:
        """Wrap `reader` so that about the share `density` of the elements it reads stay and others are 0.

        Args:
            reader: The vector; opened for this call, it may be read before.
            density: At least 0 and smaller than 1.
            shape: Rows and columns of the tensor; the result is read once, from the first row to the last.
            chunk: The most rows that are read at a time.
            seed: The tensor's own, the same on every run; 0 unless the method is `random`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What a module of a method defines.

    Attributes:
        sparsify: Makes a vector sparse; None leaves it as it is, and then it has no density.
        random: Needs a seed for each tensor.
        combine: From the same rows of several vectors of this method, each times its weight, to what is added
            for all of them; may overwrite them. None: their sum.
        mergekit: The `merge_method` with which mergekit does the same; None: it cannot.
        no_mergekit: Why it cannot, in words for the model card.
    """

    sparsify: Sparsify | None = None
    random: bool = False
    combine: Callable[[list[torch.Tensor]], torch.Tensor] | None = None
    mergekit: Literal["task_arithmetic", "ties"] | None = None
    no_mergekit: str = ""


METHODS = Plugins(what="method", kind=Method, attribute="METHOD", package=__name__, group="tvmerge.methods")
