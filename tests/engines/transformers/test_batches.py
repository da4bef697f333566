"""Batches of similar length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tvmerge.engines.transformers.batches import Batches


@given(
    lengths=st.lists(st.integers(1, 500), max_size=40),
    budget=st.integers(1, 4000),
)
def test_every_item_is_in_one_batch_and_batches_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    batches = Batches(range(len(lengths)), lengths)
    taken: list[int] = []
    while batches:
        batch = batches.next(budget)
        width = max(lengths[item] for item in batch)
        assert len(batch) == 1 or width * len(batch) <= budget
        assert batches.cost(len(batch)) == width * len(batch)
        batches.done(batch)
        taken += batch
    assert sorted(taken) == list(range(len(lengths)))
    flat = [lengths[item] for item in taken]
    assert flat == sorted(flat, reverse=True)


def test_a_batch_that_was_not_done_is_handed_out_again_in_the_size_that_fits_now() -> None:
    batches = Batches(list("abcd"), [5, 5, 5, 5])
    assert batches.next(20) == list("abcd")
    assert batches.next(10) == list("ab")
    batches.done("ab")
    assert batches.next(20) == list("cd")
