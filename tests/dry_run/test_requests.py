"""A plan of long answers is made of texts of that length and can be interrupted; test_plan has the counts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tasks.ratings import questions
from tvmerge.dry_run.requests import RequestEstimator, stand_ins
from tvmerge.judging.client.request_counter import RequestCounter


async def test_an_estimate_ends_where_it_is_cancelled_though_no_judge_waits_for_anything() -> None:
    suite: Any = SimpleNamespace(rated_questions=())
    estimator = RequestEstimator(suite, RequestCounter(), 8, None, {})
    estimate = asyncio.create_task(estimator.unknown(questions({"a": 3})))
    await asyncio.sleep(0)
    assert not estimate.done()
    estimate.cancel()
    with pytest.raises(asyncio.CancelledError):
        await estimate


@pytest.mark.parametrize("length", [1, 2, 3, 512, 1_000_000])
def test_the_texts_that_stand_for_unknown_answers_have_their_length_and_differ(length: int) -> None:
    texts = stand_ins(length)
    assert [len(text.encode()) for text in texts] == [length, length]
    assert texts[0] != texts[1]
