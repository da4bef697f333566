"""The ways to make a row of one difference in a single pass give the very bits of the plain way."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.merging.device.values import row_of as sum_of
from tests.merging.test_merger import Trio, even, merger_of
from tvmerge.merging.kernels import numba as native
from tvmerge.merging.kernels.arithmetic import CHUNK, merge_rows
from tvmerge.merging.kernels.fast_path import FastPath, fast_path
from tvmerge.merging.kernels.numba import merge_natively
from tvmerge.merging.plan import Row

EVERY_BFLOAT16 = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
RECIPE = {"0": 0.37}
WHOLE = slice(0, 2**16)


def row_of(target: torch.Tensor, tuned: torch.Tensor, base: torch.Tensor) -> Row:
    return sum_of(target, (tuned, base))


def as_single(row: Row, weight: float = 0.37) -> FastPath:
    found = fast_path(row, {"0": weight})
    assert found is not None
    return found


def shuffled(seed: int) -> Row:
    """Every bfloat16 there is, NaN and infinities included, three times in orders of their own."""
    generator = torch.Generator().manual_seed(seed)
    return row_of(*(EVERY_BFLOAT16[torch.randperm(2**16, generator=generator)] for _ in range(3)))


def assert_same_bits(one: torch.Tensor, other: torch.Tensor) -> None:
    """The same floats; one NaN is as good as another, and no two libraries write the same."""
    numbers = ~other.isnan()
    assert torch.equal(one.isnan(), other.isnan())
    whole = {2: torch.int16, 4: torch.int32}[one.itemsize]
    assert torch.equal(one.view(whole)[numbers], other.view(whole)[numbers])


@given(
    weight=st.floats(-1e39, 1e39).filter(bool) | st.sampled_from([1.0, -1.0, 1e-40, 2.0**-126]),
    seed=st.integers(0, 2**31),
    held=st.sampled_from([torch.bfloat16, torch.float32]),
)
def test_compiled_code_gives_the_bits_of_torch(weight: float, seed: int, held: torch.dtype) -> None:
    row = shuffled(seed)
    plain, fast = torch.zeros(2, 2**16, 1, dtype=held)
    merge_rows(row, {"0": weight}, plain, torch.bfloat16, WHOLE)
    assert merge_natively(as_single(row, weight), fast, torch.bfloat16, WHOLE)
    assert_same_bits(fast, plain)


def test_sums_half_way_between_two_numbers_go_to_the_even_one() -> None:
    # 1 + k * 2**-8 is half way between two bfloat16 numbers for odd k.
    ones, zeros = torch.ones(64, dtype=torch.bfloat16), torch.zeros(64, dtype=torch.bfloat16)
    step = torch.arange(64, dtype=torch.bfloat16)
    out = torch.empty(64, 1, dtype=torch.bfloat16)
    assert merge_natively(as_single(row_of(ones, step, zeros), 2.0**-8), out, torch.bfloat16, slice(0, 64))
    assert torch.equal(out.view(-1), (1 + torch.arange(64) * 2.0**-8).bfloat16())
    assert int((out.view(torch.int16)[1::2] & 1).sum()) == 0


def test_compiled_code_writes_the_rows_it_was_given_and_no_others() -> None:
    generator = torch.Generator().manual_seed(0)
    row = row_of(*(torch.randn(CHUNK // 64 + 3, 128, generator=generator).bfloat16() for _ in range(3)))
    plain, fast = torch.zeros(2, *row.spec.shape, dtype=torch.bfloat16)
    part = slice(5, row.spec.shape[0] - 1)
    merge_rows(row, RECIPE, plain, torch.bfloat16, part)
    assert merge_natively(as_single(row), fast, torch.bfloat16, part)
    assert torch.equal(plain, fast)


@pytest.mark.parametrize(
    "formats", [f for f in itertools.product((torch.bfloat16, torch.float16), repeat=3) if len(set(f)) > 1]
)
def test_other_formats_are_left_to_torch(formats: tuple[torch.dtype, ...]) -> None:
    row = row_of(*(torch.ones(4, dtype=dtype) for dtype in formats))
    assert not merge_natively(as_single(row), torch.empty(4, 1), torch.bfloat16, slice(0, 4))


@pytest.mark.parametrize(
    ("held", "rounded"), [(torch.float16, torch.bfloat16), (torch.float32, torch.float16)], ids=str
)
def test_other_outputs_are_left_to_torch(held: torch.dtype, rounded: torch.dtype) -> None:
    out = torch.empty(2**16, 1, dtype=held)
    assert not merge_natively(as_single(shuffled(0)), out, rounded, WHOLE)


def test_memory_with_gaps_is_left_to_torch() -> None:
    gaps = torch.empty(2**16, 2, dtype=torch.bfloat16)[:, :1]
    assert not merge_natively(as_single(shuffled(0)), gaps, torch.bfloat16, WHOLE)


def test_numbers_at_odd_addresses_are_left_to_torch() -> None:
    odd = torch.frombuffer(bytearray(2**17 + 1), dtype=torch.bfloat16, offset=1)
    assert odd.data_ptr() % 2 == 1
    row = row_of(odd, EVERY_BFLOAT16, EVERY_BFLOAT16)
    assert not merge_natively(as_single(row), torch.empty(2**16, 1), torch.bfloat16, WHOLE)


def test_without_numba_torch_merges_the_same_model(llamas: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    merger = merger_of(llamas, resident_limit=0)
    fast = dict(merger.merge(even(merger, 0.7)))
    monkeypatch.setitem(sys.modules, "numba", None)
    native.kernel_for.cache_clear()
    try:
        assert native.kernel_for(torch.bfloat16) is None
        for name, tensor in merger.merge(even(merger, 0.7)):
            assert torch.equal(tensor, fast[name]), name
    finally:
        native.kernel_for.cache_clear()


def test_rows_of_another_kind_are_no_single_difference() -> None:
    row = shuffled(0)
    (term,) = row.terms
    others = [
        replace(row, terms=()),
        replace(row, terms=(term, term)),
        replace(row, terms=(replace(term, method="ties", density=0.5),)),
        row.resident(),
    ]
    assert [fast_path(other, RECIPE) for other in others] == [None] * 4
    assert fast_path(row, {"0": 0.0}) is None
