"""What a caller's judge returns is stored, and what is stored is looked at before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tvmerge._util.cache import ContentCache
from tvmerge.judging.judges.own import OwnJudge
from tvmerge.records import Answer, Judgment, Question, Rating

QUESTION, ANSWER = Question("q", "writing", ("?",)), Answer("q", ("half \ud83d",), ("stop",))


class Odd:
    """Gives 7, and says half a surrogate pair."""

    name = "odd"
    fingerprint = {"version": 1}  # noqa: RUF012 - as the protocol has it

    def __init__(self) -> None:
        self.asked = 0

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        self.asked += 1
        return [Rating(question.question_id, 1, 7.0, self.name, "p", reply="so \ud83d")]

    async def close(self) -> None:
        pass


async def test_half_a_surrogate_pair_is_replaced_in_what_it_says(tmp_path: Path) -> None:
    judge = Odd()
    with closing(ContentCache(tmp_path)) as cache:
        for _ in range(2):
            (rating,) = await OwnJudge(judge, cache).judge(QUESTION, ANSWER)
            assert isinstance(rating, Rating)
            assert (rating.score, rating.reply) == (7.0, "so �")
    assert judge.asked == 1


@pytest.mark.parametrize("parallel", [1, 4])
async def test_the_same_answers_that_are_rated_at_the_same_time_are_asked_about_once(
    tmp_path: Path, parallel: int
) -> None:
    judge = Odd()
    with closing(ContentCache(tmp_path)) as cache:
        own = OwnJudge(judge, cache, parallel=parallel)
        found = await asyncio.gather(*(own.judge(QUESTION, ANSWER) for _ in range(5)))
        assert judge.asked == 1
        assert all(judgments == found[0] for judgments in found)
        cancelled, other = (asyncio.create_task(own.judge(QUESTION, Answer("q", ("b",)))) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert await other
    assert judge.asked == 2


class Slow(Odd):
    """Waits before it rates."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = asyncio.Event()

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        await self.ready.wait()
        return await super().judge(question, answer)


async def test_what_is_stored_while_an_answer_waits_for_its_place_is_not_asked_for(tmp_path: Path) -> None:
    slow, quick, second = Slow(), Odd(), Answer("q", ("second",))
    with closing(ContentCache(tmp_path)) as cache:
        own = OwnJudge(slow, cache)
        first = asyncio.create_task(own.judge(QUESTION, ANSWER))
        waiting = asyncio.create_task(own.judge(QUESTION, second))
        await asyncio.sleep(0.2)
        await OwnJudge(quick, cache).judge(QUESTION, second)
        slow.ready.set()
        await asyncio.gather(first, waiting)
    assert (slow.asked, quick.asked) == (1, 1)


async def test_what_is_rated_when_all_who_wait_for_it_are_cancelled_is_stored(tmp_path: Path) -> None:
    slow = Slow()
    with closing(ContentCache(tmp_path)) as cache:
        own = OwnJudge(slow, cache)
        tasks = [asyncio.create_task(own.judge(QUESTION, ANSWER)) for _ in range(2)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        asyncio.get_running_loop().call_later(0.1, slow.ready.set)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError}
        await own.judge(QUESTION, ANSWER)
    assert slow.asked == 1


@pytest.mark.parametrize(
    "row",
    [
        7,
        "text",
        [],
        [{"score": 7}],
        [{"question_id": "q", "turn": 2, "score": 7, "judge": "odd", "prompt": "p"}],
        [{"question_id": "q", "turn": 1, "score": "7", "judge": "odd", "prompt": "p"}],
        [{"question_id": "q", "turn": 1, "score": 70, "judge": "odd", "prompt": "p"}],
        [{"question_id": "q", "turn": 1, "score": 7, "judge": "odd", "prompt": "p", "more": 1}],
    ],
)
async def test_a_row_that_is_no_rating_of_the_answer_is_a_miss(tmp_path: Path, row: object) -> None:
    judge = Odd()
    with closing(ContentCache(tmp_path)) as cache:
        await OwnJudge(judge, cache).judge(QUESTION, ANSWER)
        cache.put_many(dict.fromkeys(list(cache), row))
        (rating,) = await OwnJudge(judge, cache).judge(QUESTION, ANSWER)
    assert isinstance(rating, Rating)
    assert (rating.score, judge.asked) == (7.0, 2)
