"""Asking in batches: what is sent, and what comes of it."""

from __future__ import annotations

from tests.judging.batch.asking import Asking, expected


def test_what_is_asked_at_once_is_sent_in_one_batch_and_rated_as_it_would_be_alone(asking: Asking) -> None:
    assert asking.scores(20) == expected(20)
    assert [len(batch.requests) for batch in asking.server.batches.values()] == [20]
    assert len(asking.server.billed) == 20
    (usage,) = asking.ledger().usage()
    assert (usage.calls, usage.batched, usage.failures) == (20, 20, 0)
    assert asking.scores(20) == expected(20)
    assert len(asking.server.billed) == 20
