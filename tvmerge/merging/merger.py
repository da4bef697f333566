"""The merger, which makes a stream of tensors from a plan and a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING

import torch

from tvmerge._util.as_float import as_float
from tvmerge._util.canonical import digest
from tvmerge._util.shown import shown
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.deltas import as_rows
from tvmerge.merging.device.cuda import open_device
from tvmerge.merging.device.hardware import Device
from tvmerge.merging.device.merger import DeviceMerger
from tvmerge.merging.device.work import Wanted
from tvmerge.merging.dtypes import code_of, torch_dtype
from tvmerge.merging.kernels.arithmetic import FLOAT32, ORIGINAL, merge_as_original, merge_rows
from tvmerge.merging.kernels.fast_path import fast_path
from tvmerge.merging.kernels.numba import merge_natively
from tvmerge.merging.kernels.parallel import Task, in_parallel
from tvmerge.merging.kernels.stream import Offer, Pairs, TensorStream
from tvmerge.merging.methods import METHODS
from tvmerge.merging.overflow import check_merged
from tvmerge.merging.plan import Plan, Row, Term
from tvmerge.merging.suggest import listed, near_group
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.request import Arithmetic

_Offered = tuple[Row, torch.Tensor | None]
"""A row, and the memory that the consumer gives for it."""

RESIDENT_LIMIT = 256 * 2**20
"""Maximum number of bytes of float32 targets and deltas that are kept in memory between merges."""


class RecipeMerger:
    """Makes the tensors of a plan for any recipe; a `tvmerge.protocols.Merger`.

    Args:
        plan: The sources of each tensor.
        dtype: The dtype of every merged tensor; None keeps each tensor's dtype.
        arithmetic: `float32`, or `original` for the bfloat16 order of the script tvmerge replaces.
        resident_limit: Maximum number of bytes of float32 targets and deltas that are kept in memory.
        open_device: The accelerator on which memory of the consumer is; None for memory elsewhere.

    Attributes:
        plan: The plan.
        resident: Whether targets and deltas are kept in memory between merges, instead of being read again.
        source_room: Bytes of an accelerator that sources may take; None: what leaves a quarter of it free.
        remarks: What merging on accelerators has told so far, a line each.

    Raises:
        CheckpointError: The original arithmetic does not support this plan.
    """

    def __init__(
        self,
        plan: Plan,
        dtype: torch.dtype | None = None,
        *,
        arithmetic: Arithmetic = "float32",
        resident_limit: int = RESIDENT_LIMIT,
        open_device: Callable[[torch.device], Device | None] = open_device,
    ) -> None:
        if arithmetic == "original" and not plan.differences_only:
            raise CheckpointError(
                "arithmetic original supports a single plain task vector between models of one vocabulary; "
                "leave it out, or leave out sparse methods, adapters and further vectors"
            )
        self.plan = plan
        self._dtype = torch.bfloat16 if arithmetic == "original" else dtype
        self._original = arithmetic == "original"
        self._names = plan.names
        needed = sum(4 * row.spec.numel * (1 + len(row.terms)) for row in plan.rows)
        self.resident = needed <= resident_limit and not self._original
        self.source_room: int | None = None
        self.remarks: list[str] = []
        self._open_device = open_device
        self._devices: dict[torch.device, DeviceMerger | None] = {}
        self._lock = Lock()

    @property
    def group_names(self) -> Sequence[str]:
        """Names of the weights in a recipe, in model order, followed by those of searched densities."""
        return self._names

    @cached_property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of everything but the recipe that decides the merged tensors."""
        return {
            **{name: model.digest for name, model in self.plan.models.items()},
            "dtype": "own" if self._dtype is None else str(self._dtype).removeprefix("torch."),
            "arithmetic": ORIGINAL if self._original else FLOAT32,
            "plan": self._plan_digest(),
            **self._packages(),
        }

    @property
    def extra(self) -> Sequence[str]:
        """Names of streamed tensors that the live model does not have."""
        return self.plan.extra

    @cached_property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and dtype of every tensor that `merge` yields, in its order."""
        merged = {
            row.name: TensorSpec(row.spec.shape, code_of(self._output(row.spec))) for row in self.plan.rows
        }
        constants = {
            name: TensorSpec(tuple(tensor.shape), code_of(tensor.dtype))
            for name, tensor in self.plan.constants.items()
        }
        copies = {name: operand.checkpoint.specs[operand.name] for name, operand in self.plan.copies.items()}
        return merged | constants | copies

    @cached_property
    def weighted(self) -> frozenset[str]:
        """The names of the tensors that get a weight."""
        return frozenset(row.name for row in self.plan.rows if row.terms)

    def merge(self, recipe: Recipe) -> TensorStream:
        """Yield every tensor of the merged model, by its checkpoint name and in the output dtype.

        The merged tensors come first, in model order, those on an accelerator before the others; then those
        that are the same for every recipe. If the model is not kept in memory, the peak memory is a few
        merged tensors, or a few megabytes if the consumer provides memory.

        Raises:
            CheckpointError: A weight is missing, unknown or not finite.
            CandidateError: A merged number is too large for float16; raised while the stream is read.
        """
        self.check(recipe)
        values = dict(recipe.weights)
        return TensorStream(lambda offer: self._run(values, offer))

    def check(self, recipe: Recipe) -> None:
        """Check that a recipe has a finite weight for every name, and no others.

        Raises:
            CheckpointError: It does not fit.
        """
        known = set(self._names)
        densities = {t.density for row in self.plan.rows for t in row.terms if isinstance(t.density, str)}
        # Unknown names first: they are what was written, and often why others lack a weight.
        unknown = [name for name in recipe.weights if name not in known]
        problems = [f"unknown group '{name}'{near_group(name, self._names)}" for name in unknown]
        problems += [f"no weight for '{name}'" for name in self._names if name not in recipe.weights]
        for name, value in recipe.weights.items():
            if not math.isfinite(as_float(value)):
                problems.append(f"the weight of '{name}' is {shown(value)}")
            elif name in densities and not 0 <= value <= 1:
                problems.append(f"'{name}' is {value} and must be in [0, 1]")
        if problems:
            more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
            names = f"; known: {listed(self._names)}" if unknown else ""
            raise CheckpointError(f"the recipe does not fit: {'; '.join(problems[:3])}{more}{names}")

    def release(self) -> None:
        """Free what is held on accelerators; a later merge brings it there again."""
        with self._lock:
            for device in self._devices.values():
                if device is not None:
                    device.close()
            self._devices.clear()

    def _run(self, values: Mapping[str, float], offer: Offer) -> Pairs:
        elsewhere: list[_Offered] = []
        offered = ((row, offer(row.name, row.spec.shape)) for row in self.plan.rows)
        yield from self._on_device(values, offered, elsewhere)
        if self.resident and len(elsewhere) == len(self.plan.rows):
            for row, (_, given) in zip(self._resident, elsewhere, strict=True):
                out, whole = self._memory(row, given), slice(0, row.shape[0])
                self._merge(row, values, out, whole)
                yield row.name, out
        else:
            yield from in_parallel(self._tasks(values, elsewhere))
        for name, tensor in self._unchanging():
            given = offer(name, tuple(tensor.shape))
            yield name, tensor.clone() if given is None else given.copy_(tensor)

    def _on_device(
        self, values: Mapping[str, float], offered: Iterator[_Offered], elsewhere: list[_Offered]
    ) -> Pairs:
        """Merge the rows with memory on an accelerator; all others are entered in `elsewhere`."""
        for row, given in offered:
            device = None if given is None or self._original else self._device_of(given.device)
            if device is None:
                elsewhere.append((row, given))
                continue
            place = given.device if given is not None else None
            yield from device.merge(self._beside(values, chain([(row, given)], offered), place, elsewhere))

    def _beside(
        self,
        values: Mapping[str, float],
        offered: Iterable[_Offered],
        place: torch.device | None,
        elsewhere: list[_Offered],
    ) -> Iterator[Wanted]:
        for row, given in offered:
            if given is not None and given.device == place:
                yield Wanted(row, values, given, self._output(row.spec))
            else:
                elsewhere.append((row, given))

    def _device_of(self, place: torch.device) -> DeviceMerger | None:
        with self._lock:
            if place not in self._devices:
                found = self._open_device(place)
                self._devices[place] = (
                    None
                    if found is None
                    else DeviceMerger(found, self.plan.rows, room=self.source_room, tell=self.remarks.append)
                )
            return self._devices[place]

    def _tasks(self, values: Mapping[str, float], offered: Iterable[_Offered]) -> Iterable[Task]:
        for row, given in offered:
            out = self._memory(row, given)
            yield Task(row.name, out, row.parts(), partial(self._merge, row, values, out))

    def _unchanging(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self.plan.constants.items()
        for name, operand in self.plan.copies.items():
            yield name, operand.checkpoint.tensor(operand.name)

    def _memory(self, row: Row, given: torch.Tensor | None) -> torch.Tensor:
        return torch.empty(row.spec.shape, dtype=self._output(row.spec)) if given is None else given

    def _merge(self, row: Row, values: Mapping[str, float], out: torch.Tensor, part: slice) -> None:
        self._fill(row, values, out, part)
        if self._output(row.spec) == torch.float16:
            check_merged(row.name, as_rows(out)[part])

    def _fill(self, row: Row, values: Mapping[str, float], out: torch.Tensor, part: slice) -> None:
        rows, dtype = as_rows(out), self._output(row.spec)
        if self._original:
            merge_as_original(row, values, rows, part)
            return
        simple = fast_path(row, values)
        if simple is None or not out.is_cpu or not merge_natively(simple, rows, dtype, part):
            merge_rows(row, values, rows, dtype, part)

    @cached_property
    def _resident(self) -> list[Row]:
        return [row.resident() for row in self.plan.rows]

    def _output(self, spec: TensorSpec) -> torch.dtype:
        return torch_dtype(spec.dtype) if self._dtype is None else self._dtype

    def _packages(self) -> dict[str, str]:
        """Return the installed packages whose methods the plan uses."""
        methods = sorted({term.method for row in self.plan.rows for term in row.terms})
        found = [package for name in methods if (package := METHODS.origin(name))]
        return {"method_package": ", ".join(found)} if found else {}

    def _plan_digest(self) -> str:
        rows = [[row.name, [_listing(term) for term in row.terms]] for row in self.plan.rows]
        return digest([dict(self.plan.settings), rows])


def _listing(term: Term) -> list[object]:
    return [term.share, term.method, term.density, term.seed]
