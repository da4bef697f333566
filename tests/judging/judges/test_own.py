"""What a caller's judge returns is stored, and what is stored is looked at before it counts."""

from __future__ import annotations

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
