"""Sums of whole vectors on an accelerator: by the kernel where it can be used, else by torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tvmerge.merging.kernels.fused import Add, FusedSum
from tvmerge.merging.kernels.vector_sum import VectorSum, flag_infinities

CPU = torch.device("cpu")
FORMATS = (torch.bfloat16, torch.float16, torch.float32)


def a_sum(formats: tuple[torch.dtype, ...], rounded: torch.dtype = torch.float32) -> VectorSum:
    target, tuned, base = formats
    rows = torch.randn(5, 999, generator=torch.Generator().manual_seed(1))
    pairs = [(rows[1].to(tuned), rows[2].to(base)), (rows[3].to(tuned), rows[4].to(base))]
    flag = torch.zeros(1, dtype=torch.int32)
    return VectorSum(rows[0].to(target), pairs, [0.37, -1.6], torch.empty(999), rounded, flag)


@pytest.mark.parametrize("formats", list(itertools.product(FORMATS, repeat=3)), ids=str)
@pytest.mark.parametrize("rounded", FORMATS, ids=str)
def test_torchs_operations_round_as_the_formula_says(
    formats: tuple[torch.dtype, ...], rounded: torch.dtype
) -> None:
    made = a_sum(formats, rounded)
    before = [tensor.clone() for pair in made.vectors for tensor in pair]
    made.evaluate()
    first, second = (
        (t.float() - b.float()) * w for (t, b), w in zip(made.vectors, made.weights, strict=True)
    )
    assert torch.equal(made.out, (made.target.float() + (first + second)).to(rounded).float())
    assert all(map(torch.equal, before, (tensor for pair in made.vectors for tensor in pair)))
    assert not made.overflow


def test_a_kernel_that_gives_the_same_bits_is_used() -> None:
    sizes: list[int] = []
    told: list[str] = []

    def kernel(wanted: VectorSum) -> None:
        sizes.append(wanted.out.numel())
        wanted.evaluate()

    fused = FusedSum(CPU, told.append, lambda: kernel)
    for _ in range(2):
        fused.add(a_sum(FORMATS))
    assert sizes == [2**16, 999, 999]  # a sample, once
    assert told == []


def _missing() -> Add:
    raise ImportError("No module named 'triton'")


def _broken(_: VectorSum) -> None:
    raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")


def _wrong(wanted: VectorSum) -> None:
    replace(wanted, weights=[1.001 * weight for weight in wanted.weights]).evaluate()


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (_missing, "ImportError: No module named 'triton'"),
        (lambda: _broken, "RuntimeError: Please specify via CC environment variable."),
        (lambda: _wrong, "it gives other numbers than torch's operations (float32, float32"),
    ],
)
def test_a_kernel_that_cannot_be_used_is_told_once_with_the_reason(
    kernel: Callable[[], Add], why: str
) -> None:
    told: list[str] = []
    fused = FusedSum(CPU, told.append, kernel)
    plain, made = a_sum((torch.float32,) * 3), a_sum((torch.float32,) * 3)
    plain.evaluate()
    for count in (1, 2):
        fused.add(replace(made, vectors=made.vectors[:count], weights=made.weights[:count]))
    assert torch.equal(made.out, plain.out)
    assert len(told) == 1
    assert told[0].startswith("merging on cpu without the compiled kernel, which is slower: ")
    assert why in told[0]
    assert "\n" not in told[0]


def test_running_out_of_memory_is_not_taken_for_a_fault_of_the_kernel() -> None:
    def kernel(_: VectorSum) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        FusedSum(CPU, lambda _: None, lambda: kernel).add(a_sum(FORMATS))


def test_numbers_beyond_float16_raise_the_flag() -> None:
    flags = []
    for weight in (0.5, 1.0):
        pair = (torch.tensor([1e4, 0.0]), torch.zeros(2))
        target, flag = torch.tensor([6e4, 1.0]), torch.zeros(1, dtype=torch.int32)
        VectorSum(target, [pair], [weight], torch.empty(2), torch.float16, flag).evaluate()
        flags.append(int(flag))
    assert flags == [0, 1]


def test_an_infinity_that_one_part_finds_is_not_taken_back_by_another() -> None:
    flag = torch.zeros(1, dtype=torch.int32)
    for numbers in ([1.0], [float("inf"), 2.0], [], [3.0]):
        flag_infinities(torch.tensor(numbers), flag)
    assert flag.tolist() == [1]
    single = flag.clone()[0]
    flag_infinities(torch.tensor([float("nan")]), single.zero_())
    assert single.item() == 1
