"""Methods of making task vectors sparse. Each module in this folder is one, found by its file name.

A new method is a module that defines `METHOD`, a `Method`: a file in this folder, or a module of an installed
package that is declared as an entry point:

    [project.entry-points."tvmerge.methods"]
    head = "my_package.head"

Then `--method head --density 0.2` selects it. The study's fingerprint contains its name, its density, its
seeds and the version of an installed package.

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
        """Wrap `reader` to keep about the fraction `density` of its elements and set the others to 0.

        Args:
            reader: The vector, opened for this call; it may be read in advance.
            density: The fraction to keep, in [0, 1).
            shape: Rows and columns of the tensor; the result is read once, from the first row to the last.
            chunk: Maximum number of rows read at a time.
            seed: The tensor's seed, the same in every run; 0 unless the method is `random`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method, as its module defines it.

    Attributes:
        sparsify: Makes a vector sparse; None if the method leaves it unchanged and has no density.
        random: Whether it needs a seed for each tensor.
        combine: Combines the same rows of several vectors of this method, each times its weight, into what is
            added; may overwrite them. None for their sum.
        mergekit: The `merge_method` of mergekit that does the same; None if there is none.
        no_mergekit: Why there is none, for the model card.
    """

    sparsify: Sparsify | None = None
    random: bool = False
    combine: Callable[[list[torch.Tensor]], torch.Tensor] | None = None
    mergekit: Literal["task_arithmetic", "ties"] | None = None
    no_mergekit: str = ""


METHODS = Plugins(what="method", kind=Method, attribute="METHOD", package=__name__, group="tvmerge.methods")
