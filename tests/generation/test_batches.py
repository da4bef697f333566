"""Batches of similar length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tvmerge.generation.batches import length_sorted


@given(
    lengths=st.lists(st.integers(1, 500), max_size=40),
    room=st.integers(0, 300),
    budget=st.integers(1, 4000),
)
def test_every_item_is_in_one_batch_and_batches_keep_to_the_budget(
    lengths: list[int], room: int, budget: int
) -> None:
    batches = list(length_sorted(range(len(lengths)), lengths, room=room, budget=budget))
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))
    for batch in batches:
        width = max(lengths[item] for item in batch) + room
        assert len(batch) == 1 or width * len(batch) <= budget
    flat = [lengths[item] for batch in batches for item in batch]
    assert flat == sorted(flat, reverse=True)
