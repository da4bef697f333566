"""A plan of long answers can be interrupted. What it counts is tested in test_plan."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tasks.ratings import questions
from tvmerge.dry_run.requests import RequestEstimator
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
