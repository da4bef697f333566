"""Pieces on their way to a device that does everything as late as it may."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch

from tvmerge.merging.device import transfers
from tvmerge.merging.device.hardware import RefusedError
from tvmerge.merging.device.sums import whole_pieces
from tvmerge.merging.device.transfers import PAGEABLE, REGISTERED, RINGS, STAGING, Piece, Transfers, Way
from tvmerge.testing.accelerator import MemoryDevice

WAYS = pytest.mark.parametrize("way", [REGISTERED, RINGS, PAGEABLE], ids=["registered", "rings", "pageable"])


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("transfers", "sums"):
        monkeypatch.setattr(f"tvmerge.merging.device.{module}.PIECE", 2**14)


def noise(size: int) -> torch.Tensor:
    return torch.randint(0, 256, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))


@WAYS
@pytest.mark.parametrize("seed", range(5))
def test_lanes_are_used_again_only_when_what_they_held_is_done_with(way: Way, seed: int) -> None:
    device = MemoryDevice(seed=seed)
    out: dict[int, torch.Tensor] = {}
    sources = [noise(1000 + 37 * number) for number in range(60)]

    def keep(number: int, staged: Sequence[torch.Tensor]) -> None:
        out[number] = torch.cat([tensor.clone() for tensor in staged])

    with Transfers(device, way) as lanes:
        for number, source in enumerate(sources):
            lanes.submit(Piece([(source, None), (source.flip(0), None)], partial(keep, number)))
    device.synchronise()
    assert all(torch.equal(out[n], torch.cat([s, s.flip(0)])) for n, s in enumerate(sources))


@WAYS
def test_a_tensor_larger_than_a_piece_arrives_whole(way: Way) -> None:
    device = MemoryDevice(seed=3)
    source = noise(5 * 2**14 + 77)
    into = device.empty(source.numel())
    with Transfers(device, way, staging=False) as lanes:
        sent = [lanes.submit(piece) for piece in whole_pieces(source, into)]
        assert len(sent) == 6
        for future in sent:
            device.current().after(future.result())
    assert torch.equal(into, source)
    assert device.waits == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_piece_waits_for_what_it_is_told_to_wait_for(seed: int) -> None:
    device = MemoryDevice(seed=seed)
    source, into, seen = noise(512), device.empty(512), []
    other = device.order()
    with Transfers(device, REGISTERED) as lanes:
        other.run(lambda: seen.append(into.clone()))
        lanes.submit(Piece([(source, into)], after=other.mark())).result().wait()
    assert len(seen) == 1
    assert not torch.equal(seen[0], source)
    assert torch.equal(into, source)


def test_the_memory_of_the_host_stays_below_500_mb() -> None:
    assert RINGS.lanes * transfers.PIECE <= STAGING
    assert RINGS.lanes * 2**25 < 500e6


def test_without_pinned_memory_there_are_no_rings() -> None:
    with pytest.raises(RefusedError):
        Transfers(MemoryDevice(refuses=["pinned"]), RINGS)
