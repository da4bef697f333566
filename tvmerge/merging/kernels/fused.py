"""Sums of whole task vectors on an accelerator: by one kernel where Triton can compile it, else by torch.

Both give the same bits. Which one it is, is found for each combination of formats on a sample, and what keeps
the kernel from being used is told.
"""

from __future__ import annotations

from collections.abc import Callable
from subprocess import SubprocessError
from threading import Lock

import torch

from tvmerge.merging.kernels.vector_sum import VectorSum

Add = Callable[[VectorSum], None]

CHUNK = 2**24
"""Elements that torch's operations work on at a time: they need memory for float32 numbers beside."""

_SAMPLE = 2**16
_FAILURES = (
    *(ImportError, OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, SubprocessError),
)
"""What Triton raises where it is missing, lacks a compiler or a driver, or does not know the GPU."""


class FusedSum:
    """Makes sums on one device.

    Args:
        device: The device.
        tell: Told once in a line, if the kernel cannot be used, and why.
        kernel: Gives the kernel; raises where there is none.
    """

    def __init__(
        self, device: torch.device, tell: Callable[[str], None], kernel: Callable[[], Add] | None = None
    ) -> None:
        self._device, self._tell = device, tell
        self._kernel = _triton if kernel is None else kernel
        self._known: dict[tuple[torch.dtype, ...], Add] = {}
        self._told = False
        self._lock = Lock()

    def add(self, wanted: VectorSum) -> None:
        """Make a sum; it is there when the device has come to it."""
        with self._lock:  # what one thread has compiled, the others take
            way = self._known.get(wanted.variant) or self._find(wanted.variant)
        way(wanted)

    def _find(self, variant: tuple[torch.dtype, ...]) -> Add:
        problem = self._problem(variant)
        if problem and not self._told:
            self._told = True
            self._tell(f"merging on {self._device} without the compiled kernel, which is slower: {problem}")
        return self._known.setdefault(variant, _in_chunks if problem else self._kernel())

    def _problem(self, variant: tuple[torch.dtype, ...]) -> str:
        """Why the kernel cannot be used for these formats, tried on a sample; empty where it can."""
        made, expected = (_sample(variant, self._device) for _ in range(2))
        expected.evaluate()
        try:
            self._kernel()(made)
            same = torch.equal(made.out, expected.out)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if not isinstance(error, _FAILURES) and not type(error).__module__.startswith("triton"):
                raise
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"
        formats = ", ".join(str(dtype).removeprefix("torch.") for dtype in variant)
        return "" if same else f"it gives other numbers than torch's operations ({formats})"


def _in_chunks(wanted: VectorSum) -> None:
    for start in range(0, wanted.out.numel(), CHUNK):
        wanted.part(slice(start, start + CHUNK)).evaluate()


def _sample(variant: tuple[torch.dtype, ...], device: torch.device) -> VectorSum:
    *read, rounded, held = variant
    drawn = torch.randn(len(read), _SAMPLE, generator=torch.Generator().manual_seed(0)).to(device)
    target, *others = (rows.to(dtype) for rows, dtype in zip(drawn, read, strict=True))
    vectors = list(zip(others[::2], others[1::2], strict=True))
    return VectorSum(
        target,
        vectors,
        [0.7 / (1 + number) for number in range(len(vectors))],
        torch.empty(_SAMPLE, dtype=held, device=device),
        rounded,
        torch.zeros(1, dtype=torch.int32, device=device),
    )


def _triton() -> Add:
    from tvmerge.merging.kernels.triton import add_vectors

    return add_vectors
