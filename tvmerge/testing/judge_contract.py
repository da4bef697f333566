"""The contract of judges, as tests; subclass it and provide the judge."""

from __future__ import annotations

import asyncio
import math

from tvmerge._util.canonical import canonical_json
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Rating, Unrated

QUESTIONS = (
    Question("contract-1", "writing", ("Name a colour.", "Name another one.")),
    Question("contract-2", "writing", ("Write a line about the sea.",)),
)
"""The questions to rate; a pairwise judge needs a baseline's answer to each."""

ANSWERS = (
    Answer("contract-1", ("Red is a colour.", "Blue is another one."), ("stop", "stop")),
    Answer("contract-2", ("The sea is never still and never silent.",), ("stop",)),
)


class JudgeContract:
    """The contract of judges.

    Subclasses define the fixture `judge`, which can rate `QUESTIONS` and is still open.

    Examples:
        >>> import pytest, tvmerge
        >>> class TestMyJudge(tvmerge.testing.JudgeContract):
        ...     @pytest.fixture
        ...     def judge(self):
        ...         return tvmerge.testing.ScriptedJudge(rating=lambda question, answer, turn: 5.0)
    """

    def test_it_says_who_it_is_and_what_decides_its_ratings(self, judge: Judge) -> None:
        assert judge.name.strip()
        assert canonical_json(dict(judge.fingerprint)) == canonical_json(dict(judge.fingerprint))

    async def test_it_rates_every_turn_in_order(self, judge: Judge) -> None:
        for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
            found = await judge.judge(question, answer)
            assert sorted({judgment.turn for judgment in found}) == list(range(1, len(answer.turns) + 1))
            assert [judgment.turn for judgment in found] == sorted(judgment.turn for judgment in found)
            assert {judgment.question_id for judgment in found} == {question.question_id}

    async def test_a_rating_is_a_number_and_what_is_none_has_a_reason(self, judge: Judge) -> None:
        for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
            for judgment in await judge.judge(question, answer):
                assert _is_sound(judgment), judgment

    async def test_the_same_answer_gets_the_same_rating(self, judge: Judge) -> None:
        first = await judge.judge(QUESTIONS[0], ANSWERS[0])
        assert _scores(await judge.judge(QUESTIONS[0], ANSWERS[0])) == _scores(first)

    async def test_an_answer_that_is_shorter_than_its_question_is_rated_as_far_as_it_goes(
        self, judge: Judge
    ) -> None:
        short = Answer("contract-1", ANSWERS[0].turns[:1], ("stop",))
        assert {judgment.turn for judgment in await judge.judge(QUESTIONS[0], short)} == {1}

    async def test_an_empty_answer_and_one_cut_in_thought_are_no_failure(self, judge: Judge) -> None:
        for answer in (Answer("contract-2", ("",), ("stop",)), Answer("contract-2", ("",), ("thought",))):
            found = await judge.judge(QUESTIONS[1], answer)
            assert {judgment.turn for judgment in found} == {1}
            assert all(map(_is_sound, found))

    async def test_answers_can_be_rated_at_the_same_time(self, judge: Judge) -> None:
        alone = [_scores(await judge.judge(q, a)) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
        pairs = [*zip(QUESTIONS, ANSWERS, strict=True)] * 3
        together = await asyncio.gather(*(judge.judge(question, answer) for question, answer in pairs))
        assert [_scores(found) for found in together] == alone * 3


def _is_sound(judgment: Judgment) -> bool:
    if isinstance(judgment, Unrated):
        return bool(judgment.reason)
    return isinstance(judgment, Rating) and math.isfinite(judgment.score)


def _scores(found: object) -> list[float | None]:
    assert isinstance(found, list | tuple)
    return [judgment.score if isinstance(judgment, Rating) else None for judgment in found]
