"""Where a worker's tensors are made, with memory of the CPU in the place of a GPU's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tvmerge.engines.vllm.placing import HOST, TRIES, Make, MergePlace
from tvmerge.errors import CandidateError, CheckpointError
from tvmerge.merging.kernels.stream import TensorStream
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.open import Merge
from tvmerge.records import Recipe
from tvmerge.testing.accelerator import MemoryDevice
from tvmerge.testing.models import open_models, uneven, uniform


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


class Clock:
    """Seconds that pass as memory is asked for."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def maker(self, seconds: float, made: list[torch.Tensor]) -> Make:
        def make(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            self.now += seconds
            made.append(torch.empty(shape, dtype=dtype))
            return made[-1]

        return make


def full(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    raise CheckpointError("cuda:0 has no memory left to merge beside the model")


def places(merge: Merge, makers: Mapping[str, Make], clock: Clock) -> MergePlace:
    assert isinstance(merge.merger, RecipeMerger)
    return MergePlace(merge.merger, MemoryDevice(), makers, clock)


@pytest.mark.parametrize(("gpu", "cpu", "chosen"), [(1.0, 3.0, "gpu"), (5.0, 3.0, "cpu")])
def test_tensors_are_made_where_the_first_ones_were_faster(
    merge: Merge, gpu: float, cpu: float, chosen: str
) -> None:
    clock, made = Clock(), {"gpu": list[torch.Tensor](), "cpu": list[torch.Tensor]()}
    place = places(merge, {"gpu": clock.maker(gpu, made["gpu"]), "cpu": clock.maker(cpu, made["cpu"])}, clock)
    for recipe in (uniform(merge, 0.0), uneven(merge)):
        found = dict(place.merge(recipe))
        expected = dict(merge.merger.merge(recipe))
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert place.chosen == chosen
        pointers = {tensor.data_ptr() for tensor in made[chosen]}
        assert all(tensor.data_ptr() in pointers for tensor in found.values())
    count = len(merge.merger.specs)
    assert {name: len(tensors) // count for name, tensors in made.items()} == {
        name: TRIES + (2 if name == chosen else 0) for name in made
    }


def test_a_place_without_room_is_not_chosen(merge: Merge) -> None:
    clock = Clock()
    place = places(merge, {"gpu": full, "cpu": clock.maker(100.0, [])}, clock)
    assert len(dict(place.merge(uneven(merge)))) == len(merge.merger.specs)
    assert place.chosen == "cpu"


def test_without_room_anywhere_it_is_said(merge: Merge) -> None:
    with pytest.raises(CheckpointError, match="no memory left"):
        dict(places(merge, {"gpu": full, "cpu": full}, Clock()).merge(uneven(merge)))


def test_a_model_on_the_cpu_gets_tensors_in_fresh_memory(merge: Merge) -> None:
    assert isinstance(merge.merger, RecipeMerger)
    place = MergePlace(merge.merger, None)
    recipe = uneven(merge)
    assert isinstance(place.merge(recipe), TensorStream)
    assert place.chosen is None


def test_weights_that_make_no_model_are_told_after_the_comparison(merge: Merge) -> None:
    assert isinstance(merge.merger, RecipeMerger)
    narrow = RecipeMerger(merge.merger.plan, torch.float16)
    clock = Clock()
    place = MergePlace(narrow, MemoryDevice(), {"cpu": clock.maker(1.0, [])}, clock)
    pairs = place.merge(Recipe(dict.fromkeys(merge.group_names, 1e7)))
    assert place.chosen == "cpu"
    with pytest.raises(CandidateError):
        dict(pairs)


def test_a_recipe_that_does_not_fit_is_refused_at_once(merge: Merge) -> None:
    clock = Clock()
    with pytest.raises(CheckpointError, match="no weight for"):
        places(merge, {"cpu": clock.maker(1.0, [])}, clock).merge(Recipe({}))


def test_the_chosen_place_is_told_once(merge: Merge) -> None:
    clock = Clock()
    place = places(merge, {"cuda:0": full, HOST: clock.maker(1.0, [])}, clock)
    for recipe in (uniform(merge, 0.0), uneven(merge)):
        dict(place.merge(recipe))
    (line,) = place.remarks
    assert line.startswith(
        "vLLM's weights are merged on the CPU (for the first tensors, cuda:0 had no memory, "
    )


class Counting(RecipeMerger):
    """Counts how often what it holds is freed."""

    released = 0

    def release(self) -> None:
        self.released += 1
        super().release()


@pytest.mark.parametrize(("gpu", "released"), [(1.0, 0), (9.0, 1)])
def test_what_a_gpu_holds_is_freed_where_the_cpu_merges(merge: Merge, gpu: float, released: int) -> None:
    merger, clock = Counting(merge.merger.plan), Clock()
    makers = {HOST: clock.maker(5.0, []), "cuda:0": clock.maker(gpu, [])}
    place = MergePlace(merger, MemoryDevice(), makers, clock)
    for recipe in (uniform(merge, 0.0), uneven(merge)):
        dict(place.merge(recipe))
    assert merger.released == released


@pytest.mark.parametrize("room", [0, 2**40])
def test_refused_pinned_memory_is_told_once_and_pageable_memory_serves(merge: Merge, room: int) -> None:
    device = MemoryDevice(room, refuses=["pinned"])
    place = MergePlace(merge.merger, device)
    for recipe in (uniform(merge, 0.0), uneven(merge)):
        found, expected = dict(place.merge(recipe)), dict(merge.merger.merge(recipe))
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert list(found) == list(expected)
    refused = "copying to cpu without pinned memory, which is slower: no pinned memory is left"
    crowded = "cpu has too little memory for some tensors: they are merged on the CPU"
    assert [line for line in place.remarks if line == refused] == [refused]
    assert (crowded in place.remarks) == (room == 0)


def test_what_the_merger_remarks_is_told_too(merge: Merge) -> None:
    merger = RecipeMerger(merge.merger.plan)
    merger.remarks.append("cuda:0 cannot read the models' files itself")
    assert MergePlace(merger, None).remarks == ["cuda:0 cannot read the models' files itself"]
