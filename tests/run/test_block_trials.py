"""What a study by blocks is told of a block: scores, a failure, or nothing because the judge is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.study.blocks.searches import BLOCK, QUESTIONS, open_blocks
from tests.tables import Table
from tvmerge.errors import ProviderError
from tvmerge.judging.client.charges import ChargedChat
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.ledger import Prices
from tvmerge.records import JUDGING_USD, Answer, Evaluation, Judgment, Question, Rating, Sampling, Unrated
from tvmerge.run.block_trials import SILENT, BlockTrials
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective, Part
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask

ASKED = [Question(number, "any", ("?",)) for number in range(QUESTIONS)]
OBJECTIVE = Objective((Part("one", frozenset(q.question_id for q in ASKED)),))

Judge = Callable[[Question], Judgment]


def rated(question: Question) -> Judgment:
    return Rating(question.question_id, 1, 1.0 + int(question.question_id), "j", "p")


def unreadable(question: Question) -> Judgment:
    return Unrated(question.question_id, 1, "j", "p", "no rating", remedy="choose another judge")


def refused(question: Question) -> Judgment:
    return Unrated(question.question_id, 1, "j", "p", "refused by the provider")


@pytest.fixture
def study(tmp_path: Path) -> BlockStudy:
    return open_blocks(tmp_path)


@pytest.fixture
def trials(study: BlockStudy) -> BlockTrials:
    table = Table(lambda recipe, question: 1.0)
    return BlockTrials(study, Evaluator(table, table, Sampling()), OBJECTIVE, ASKED)


def judged(trials: BlockTrials, study: BlockStudy, ask: Ask, judge: Judge) -> Told:
    questions = ASKED[ask.start : ask.stop]
    rows = tuple((Answer(q.question_id, ("a",)), (judge(q),)) for q in questions)
    return trials.outcome(ask, Evaluation(study.trials[ask.trial].recipe, rows))


def play(trials: BlockTrials, study: BlockStudy, judge: Judge) -> Told:
    ask = study.ask()
    told = judged(trials, study, ask, judge)
    trials.tell(ask, told)
    return told


def test_a_question_without_a_rating_has_no_score(trials: BlockTrials, study: BlockStudy) -> None:
    told = play(trials, study, lambda q: refused(q) if q.question_id == 1 else rated(q))
    assert told.scores == (1.0, None, 3.0, 4.0)
    assert study.trials[0].attrs["coverage"] == 0.75


class TwoCalls(Table):
    """A judge that is asked twice for each answer, as when answers are compared in both orders."""

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        async def reply(request: ChatRequest) -> ChatReply:
            return ChatReply("7", "stop", Usage(1000, 0))

        chat = ChargedChat(LocalChat(reply), Prices(2.0, 0.0))
        for order in ("first", "second"):
            await chat.send(a_request(f"{question.question_id} {order}"))
        return await super().judge(question, answer)


@pytest.mark.parametrize("priced", [True, False])
def test_what_judging_cost_is_recorded_with_the_candidate(priced: bool, study: BlockStudy) -> None:
    table = TwoCalls(lambda recipe, question: 1.0)
    trials = BlockTrials(study, Evaluator(table, table, Sampling()), OBJECTIVE, ASKED, priced=priced)
    while study.told < 2 * 7 * BLOCK:
        ask = study.ask()
        evaluation = asyncio.run(trials.evaluate(ask))
        trials.tell(ask, trials.outcome(ask, evaluation))
    costs = [trial.attrs.get(JUDGING_USD) for trial in study.trials]
    assert costs == [pytest.approx(2 * BLOCK * 2 * 0.002) if priced else None] * 7


def test_a_model_that_is_not_usable_fails_and_nothing_is_scored(
    trials: BlockTrials, study: BlockStudy
) -> None:
    ask = study.ask()
    told = trials.outcome(ask, Evaluation(study.trials[0].recipe, failure="layers.0 is not finite"))
    assert told == Told((), {}, "layers.0 is not finite")


def test_a_block_without_a_rating_is_no_failure_of_its_candidate(
    trials: BlockTrials, study: BlockStudy
) -> None:
    play(trials, study, rated)
    for judge in (refused, unreadable, refused):
        told = play(trials, study, judge)
        assert (told.scores, told.failure) == ((None,) * BLOCK, "")
        assert told.attrs["coverage"] == 0
    assert all(not ask.failed for ask in study.asks)


def test_a_judge_that_rates_nothing_from_the_start_stops_the_run_before_more_is_paid(
    trials: BlockTrials, study: BlockStudy
) -> None:
    with pytest.raises(ProviderError, match=r"trial 0: judge j rated nothing; .* choose another judge; then"):
        judged(trials, study, study.ask(), unreadable)
    assert study.told == 0


def test_a_judge_that_falls_silent_stops_the_run_after_a_few_blocks(
    trials: BlockTrials, study: BlockStudy
) -> None:
    play(trials, study, rated)
    for _ in range(SILENT - 1):
        play(trials, study, unreadable)
    ask = study.ask()
    with pytest.raises(ProviderError, match="judge j rated nothing"):
        judged(trials, study, ask, unreadable)
    assert judged(trials, study, ask, rated).scores
