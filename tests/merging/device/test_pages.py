"""Weight files whose pages a device reads itself."""

from __future__ import annotations

import mmap
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tvmerge.merging.checkpoints.shards import Extent, SafetensorsShard
from tvmerge.merging.device.hardware import RefusedError
from tvmerge.merging.device.pages import RegisteredFiles, page_spans
from tvmerge.testing.accelerator import MemoryDevice

SPANS = st.tuples(st.integers(0, 999), st.integers(0, 60)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(SPANS, max_size=12), st.sampled_from([1, 16, 64]))
def test_every_byte_is_in_one_run_of_whole_pages(spans: list[tuple[int, int]], page: int) -> None:
    end = 1100
    found = page_spans(spans, page, end)
    assert all(start % page == 0 and (stop % page == 0 or stop == end) for start, stop in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    for first, last in spans:
        assert first == last or any(start <= first and last <= stop for start, stop in found)
    pages = {at // page for first, last in spans for at in range(first, last)}
    assert sum(-(-(stop - start) // page) for start, stop in found) <= len(pages) + len(spans)


@pytest.fixture
def shard(tmp_path: Path) -> SafetensorsShard:
    generator = torch.Generator().manual_seed(0)
    tensors = {f"t{n}": torch.randn(700 + n, generator=generator).bfloat16() for n in range(40)}
    save_file(tensors, tmp_path / "model.safetensors")
    return SafetensorsShard(tmp_path / "model.safetensors")


def extents_of(shard: SafetensorsShard, *names: str) -> list[Extent]:
    found = [shard.extent(name) for name in names]
    return [extent for extent in found if extent is not None]


def test_bytes_of_a_registered_file_are_those_of_its_tensors(shard: SafetensorsShard) -> None:
    device = MemoryDevice()
    files = RegisteredFiles(device, extents_of(shard, *shard.specs))
    for name in shard.specs:
        (extent,) = extents_of(shard, name)
        assert torch.equal(files.bytes_of(extent).view(torch.bfloat16), shard.tensor(name))
    files.close()


def test_only_pages_of_what_streams_are_registered_and_all_are_let_go(shard: SafetensorsShard) -> None:
    device = MemoryDevice()
    files = RegisteredFiles(device, extents_of(shard, "t3", "t20", "t21"))
    assert len(device.registered) == 2
    assert sum(device.registered.values()) <= 5 * mmap.PAGESIZE
    files.close()
    assert device.registered == {}


def test_what_is_refused_leaves_nothing_registered(shard: SafetensorsShard, tmp_path: Path) -> None:
    device = MemoryDevice()
    lost = Extent(tmp_path / "lost.safetensors", 0, 8)
    with pytest.raises(RefusedError, match="No such file"):
        RegisteredFiles(device, [*extents_of(shard, "t3"), lost])
    assert device.registered == {}
