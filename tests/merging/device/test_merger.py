"""Merging beside a live model, on a device that does everything late: the CPU's bits, one wait."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pytest
import torch

from tests.merging.device.values import Values, row_of
from tvmerge.errors import CandidateError, CheckpointError
from tvmerge.merging.deltas import Difference, TokenDifference, TokenRows, as_rows
from tvmerge.merging.device.merger import DeviceMerger
from tvmerge.merging.device.sources import source_sizes
from tvmerge.merging.device.work import Wanted
from tvmerge.merging.kernels.arithmetic import merge_rows
from tvmerge.merging.kernels.vector_sum import VectorSum
from tvmerge.merging.plan import Row, Term
from tvmerge.testing.accelerator import MemoryDevice

FORMATS = (torch.bfloat16, torch.float16, torch.float32)
VALUES = {"0": 0.37, "1": -1.6, "2": 0.8, "none": 0.0, "share": 0.3}
ROOMY = 2**40
STAGING = 12 * 2**15


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and chunks that small tensors have several of."""
    for module in ("transfers", "sums"):
        monkeypatch.setattr(f"tvmerge.merging.device.{module}.PIECE", 2**15)
    monkeypatch.setattr("tvmerge.merging.device.sums.STEP", 64)
    monkeypatch.setattr("tvmerge.merging.device.sources.STAGING", STAGING)
    monkeypatch.setattr("tvmerge.merging.device.work.CHUNK", 3000)
    monkeypatch.setattr("tvmerge.merging.device.merger.AHEAD", 2**16)


def drawn(
    seed: int, formats: Sequence[torch.dtype], shape: tuple[int, ...] = (97, 129)
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype) for dtype in formats]


def a_row(name: str, formats: Sequence[torch.dtype], shape: tuple[int, ...] = (97, 129)) -> Row:
    """A target and as many vectors as there are pairs of formats behind its own."""
    target, *others = drawn(len(name) + 7 * len(formats), formats, shape)
    return row_of(target, *zip(others[::2], others[1::2], strict=True), name=name)


def sparse(row: Row, method: str, density: float | str = 0.4) -> Row:
    terms = [
        replace(term, method=method, density=density, seed=number) for number, term in enumerate(row.terms)
    ]
    return replace(row, terms=tuple(terms))


def by_token(row: Row) -> Row:
    """The rows of some tokens get the difference of others."""
    (term,) = row.terms
    assert isinstance(term.delta, Difference)
    shared = TokenRows(target=[1, 5, 90, 96], base=[0, 96, 2, 50], tuned=[3, 2, 1, 0])
    return replace(
        row, terms=(replace(term, delta=TokenDifference(term.delta.tuned, term.delta.base, shared)),)
    )


def without_weight(row: Row) -> Row:
    terms: list[Term] = [replace(term, share=(("none", 1.0),)) for term in row.terms]
    return replace(row, terms=tuple(terms))


def every_kind() -> list[Row]:
    one, two, three = (torch.bfloat16,) * 3, (torch.bfloat16,) * 5, (torch.float16, *(torch.bfloat16,) * 6)
    mixed = [
        a_row(f"mixed {number}", formats)
        for number, formats in enumerate(itertools.product(FORMATS, repeat=3))
    ]
    return [
        *mixed,
        a_row("vector", one, (50_001,)),
        a_row("scalar", one, ()),
        a_row("experts", one, (3, 40, 70)),
        a_row("empty", one, (0, 5)),
        a_row("two vectors", two),
        a_row("three vectors", three),
        replace(a_row("no vector", one), terms=()),
        without_weight(a_row("weight zero", two)),
        sparse(a_row("ties", one), "ties"),
        sparse(a_row("ties of two", two), "ties"),
        sparse(a_row("ties of three", three), "ties", "share"),
        sparse(a_row("ties, all of it", two), "ties", 1.0),
        sparse(a_row("dare", one), "dare"),
        sparse(a_row("dare of two", two), "dare", "share"),
        by_token(a_row("tokens", one)),
    ]


def expected(row: Row, rounded: torch.dtype, held: torch.dtype, values: Mapping[str, float]) -> torch.Tensor:
    out = torch.empty(row.spec.shape, dtype=held)
    merge_rows(row, values, as_rows(out), rounded, slice(0, row.shape[0]))
    return out


def assert_as_expected(made: Mapping[str, torch.Tensor], rows: Sequence[Row]) -> None:
    for row in rows:
        assert torch.equal(made[row.name], expected(row, torch.bfloat16, torch.bfloat16, VALUES)), row.name


def opened(
    device: MemoryDevice, rows: Sequence[Row], room: int, told: list[str] | None = None
) -> DeviceMerger:
    tell: Callable[[str], None] = (lambda _: None) if told is None else told.append
    return DeviceMerger(device, rows, room=room, tell=tell, kernel=lambda: VectorSum.evaluate)


def merge(
    merger: DeviceMerger,
    rows: Sequence[Row],
    rounded: torch.dtype = torch.bfloat16,
    held: torch.dtype = torch.bfloat16,
    values: Mapping[str, float] = VALUES,
) -> dict[str, torch.Tensor]:
    outs = [torch.full(row.spec.shape, torch.nan, dtype=held) for row in rows]
    wanted = (Wanted(row, values, out, rounded) for row, out in zip(rows, outs, strict=True))
    return dict(merger.merge(wanted))


ROOMS = pytest.mark.parametrize("share", [0.0, 0.5, 2.0], ids=["all streams", "half stays", "all stays"])


@ROOMS
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rounded", FORMATS, ids=str)
def test_every_kind_of_row_has_the_bits_of_the_cpu(share: float, seed: int, rounded: torch.dtype) -> None:
    rows = every_kind()
    device = MemoryDevice(ROOMY, seed=seed)
    room = int(share * sum(source_sizes(rows).values())) + (STAGING if 0 < share < 1 else 0)
    merger = opened(device, rows, room)
    for values in (VALUES, {**VALUES, "0": -0.9, "share": 0.7}):
        made = merge(merger, rows, rounded, torch.float32, values)
        assert list(made) == [row.name for row in rows]
        for row in rows:
            assert torch.equal(made[row.name], expected(row, rounded, torch.float32, values)), row.name


def test_a_merge_of_resident_sources_reads_nothing_again_and_waits_once() -> None:
    rows = [a_row(f"r{number}", (torch.bfloat16,) * 3) for number in range(20)]
    device = MemoryDevice(ROOMY)
    merger = opened(device, rows, ROOMY)
    merge(merger, rows)
    read = reads_of(rows)
    before = device.waits
    merge(merger, rows)
    assert device.waits == before + 1
    assert reads_of(rows) == read


def reads_of(rows: Sequence[Row]) -> list[str]:
    """Every read of a source so far."""
    checkpoints = [operand.checkpoint for row in rows for operand in row.operands]
    return [name for values in checkpoints if isinstance(values, Values) for name in values.read]


def test_a_merge_whose_sources_stream_waits_once_too() -> None:
    rows = [a_row(f"r{number}", (torch.bfloat16,) * 5) for number in range(20)]
    device = MemoryDevice(ROOMY)
    merger = opened(device, rows, 0)
    merge(merger, rows)
    before = device.waits
    merge(merger, rows)
    assert device.waits == before + 1


def test_a_tensor_that_is_given_away_is_complete_for_what_follows() -> None:
    rows = [a_row(f"r{number}", (torch.bfloat16,) * 3, (50, 400)) for number in range(30)]
    merger = opened(MemoryDevice(ROOMY, seed=4), rows, 0)
    outs = (torch.full(row.spec.shape, torch.nan, dtype=torch.bfloat16) for row in rows)
    wanted = (Wanted(row, VALUES, out, torch.bfloat16) for row, out in zip(rows, outs, strict=True))
    for (name, made), row in zip(merger.merge(wanted), rows, strict=True):
        assert torch.equal(made, expected(row, torch.bfloat16, torch.bfloat16, VALUES)), name


def test_a_merge_that_is_given_up_leaves_nothing_in_work() -> None:
    rows = every_kind()
    merger = opened(MemoryDevice(ROOMY), rows, 0)
    stream = merger.merge(
        Wanted(row, VALUES, torch.empty(row.spec.shape, dtype=torch.bfloat16), torch.bfloat16) for row in rows
    )
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    made = merge(merger, rows)
    assert torch.equal(made["ties of two"], expected(rows[-6], torch.bfloat16, torch.bfloat16, VALUES))


@ROOMS
@pytest.mark.parametrize("kind", ["linear", "ties"])
def test_numbers_beyond_float16_are_told_at_the_end_by_name(share: float, kind: str) -> None:
    row = a_row("large", (torch.float32,) * 3)
    operand = row.operands[1]
    operand.checkpoint.tensor(operand.name)[50, 50] = 6e5
    rows = [a_row("small", (torch.float32,) * 3), sparse(row, kind)]
    merger = opened(MemoryDevice(ROOMY), rows, int(share * sum(source_sizes(rows).values())) + STAGING)
    with pytest.raises(CandidateError, match="'large' would hold infinities"):
        merge(merger, rows, torch.float16, torch.float16)
    assert len(merge(merger, rows, torch.bfloat16)) == 2
    assert len(merge(merger, rows, torch.float16, torch.float16, {**VALUES, "0": 0.01})) == 2


@pytest.mark.parametrize(
    ("refuses", "words"),
    [
        ([], ["cannot read the models' files itself, which is slower: pickled weights"]),
        (["pinned"], ["cannot read the models' files itself", "without pinned memory, which is slower"]),
    ],
)
def test_each_slower_way_is_told_once(refuses: list[Literal["pages", "pinned"]], words: list[str]) -> None:
    told: list[str] = []
    rows = every_kind()
    merger = opened(MemoryDevice(ROOMY, refuses=refuses), rows, 0, told)
    for _ in range(2):
        made = merge(merger, rows)
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))
    assert_as_expected(made, rows)


def test_where_memory_runs_out_fewer_sources_stay_and_the_merge_goes_on() -> None:
    rows = every_kind()
    total = sum(source_sizes(rows).values())
    told: list[str] = []
    device = MemoryDevice(total // 2 + STAGING)
    made = merge(opened(device, rows, ROOMY, told), rows)
    assert_as_expected(made, rows)
    assert total // 8 < device.used <= total // 2 + STAGING


class Crowded(MemoryDevice):
    """A device on which somebody else takes memory once."""

    asked = 0

    def empty(self, size: int) -> torch.Tensor:
        self.asked += size > 0
        if size and self.asked == 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().empty(size)


def test_memory_that_is_lost_later_is_made_room_for() -> None:
    rows = every_kind()
    told: list[str] = []
    calls = 0

    def kernel(wanted: VectorSum) -> None:
        nonlocal calls
        calls += 1
        if calls == 110:  # while everything stays: such work is queued at once
            raise torch.OutOfMemoryError("CUDA out of memory")
        wanted.evaluate()

    room, device = 2 * sum(source_sizes(rows).values()), Crowded(ROOMY)
    merger = DeviceMerger(device, rows, room=room, tell=told.append, kernel=lambda: kernel)
    for _ in range(8):
        assert_as_expected(merge(merger, rows), rows)
    assert device.asked > 40
    assert any("is out of memory: at most" in line for line in told)


def test_a_merge_that_fails_leaves_nothing_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [a_row("of many pieces", (torch.float32,) * 3, (700, 129))]
    copies: list[int] = []

    def copy(ring: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        copies.append(source.numel())
        if len(copies) == 1:
            raise OSError("the disk is gone")
        time.sleep(0.02)
        return ring.copy_(source)

    with monkeypatch.context() as patch:
        patch.setattr("tvmerge.merging.device.transfers.copy_on_host", copy)
        merger = opened(MemoryDevice(ROOMY), rows, 0)
        with pytest.raises(OSError, match="the disk is gone"):
            merge(merger, rows)
        sent = len(copies)
        time.sleep(0.2)
        assert len(copies) == sent
    assert_as_expected(merge(merger, rows), rows)


def test_a_device_without_room_for_a_merge_is_one_line() -> None:
    rows = every_kind()
    with pytest.raises(
        CheckpointError, match=r"cpu has no memory left to merge .* lower --batch-tokens"
    ) as e:
        merge(opened(MemoryDevice(2**15), rows, ROOMY), rows)
    assert "\n" not in str(e.value)


def test_what_is_closed_holds_no_memory_and_merges_again() -> None:
    rows = every_kind()
    device = MemoryDevice(ROOMY)
    merger = opened(device, rows, sum(source_sizes(rows).values()) // 2)
    first = merge(merger, rows)
    merger.close()
    assert device.used == 0
    assert device.registered == {}
    again = merge(merger, rows)
    assert all(torch.equal(first[name], again[name]) for name in first)
