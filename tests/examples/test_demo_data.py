"""The demo's questions: what the generator says, nothing leaked, nothing lopsided.

No module: the files in examples/demo.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from examples.demo.facts import asked_facts, spare_facts
from examples.demo.generate import (
    BENCHMARK,
    PER_CATEGORY,
    benchmark_questions,
    fresh_questions,
    question_row,
)
from examples.demo.train import Plan
from tvmerge.judging.judges.rules import rate
from tvmerge.records import Answer, Question

FACTS = {fact.topic: fact for fact in asked_facts()}


def turns(questions: list[Question]) -> list[str]:
    return [text for question in questions for text in question.turns]


def statement_for(text: str) -> str:
    topic = max((topic for topic in FACTS if topic in text), key=len)
    return FACTS[topic].statement


def test_the_committed_questions_are_what_the_generator_writes() -> None:
    committed = [json.loads(line) for line in BENCHMARK.read_text(encoding="utf-8").splitlines()]
    assert committed == [question_row(question) for question in benchmark_questions()]


def test_there_are_at_least_240_two_turn_questions_with_references() -> None:
    questions = benchmark_questions()
    assert len(questions) >= 240
    assert len({question.question_id for question in questions}) == len(questions)
    assert all(len(question.turns) == len(question.reference) == 2 for question in questions)


def test_half_of_every_category_is_held_out() -> None:
    counts = Counter((question.category, question.split) for question in benchmark_questions())
    categories = {category for category, _ in counts}
    assert len(categories) == 8
    assert counts == {(c, split): PER_CATEGORY // 2 for c in categories for split in ("search", "holdout")}


def test_no_held_out_text_occurs_in_the_search_half_or_the_other_way_round() -> None:
    questions = benchmark_questions()
    held_out = turns([question for question in questions if question.split == "holdout"])
    searched = turns([question for question in questions if question.split == "search"])
    assert not [(a, b) for a in held_out for b in searched if a in b or b in a]
    assert len(set(held_out + searched)) == len(held_out + searched)


@pytest.mark.parametrize("name", ["base", "chats", "tuned", "target"])
def test_no_question_occurs_in_what_a_model_was_trained_on(name: str) -> None:
    plan = Plan()
    stages = {"base": plan.base, "chats": plan.chats, "tuned": plan.tuned, "target": plan.target}
    stage = stages[name]
    read = "\n".join(stage.texts(plan.pool, stage.seed))
    assert len(read) > 100_000
    assert not [text for text in turns(benchmark_questions()) if text in read]
    assert not [text for text in turns(list(fresh_questions(400, 3))) if text in read]


def test_tuned_reads_nothing_but_english_chats_and_target_no_chats_and_no_english() -> None:
    plan = Plan()
    tuned = list(plan.tuned.texts(2000, plan.tuned.seed))
    target = list(plan.target.texts(2000, plan.target.seed))
    assert all("<user>" in text and text.replace("</s>", "").isascii() for text in tuned)
    assert not [text for text in target if "<user>" in text or "plus" in text or "the " in text]


def test_asked_and_spare_facts_share_no_topic() -> None:
    topics = [fact.topic for fact in (*asked_facts(), *spare_facts())]
    assert len(set(topics)) == len(topics)


def test_the_true_statement_gets_ten_for_every_turn() -> None:
    for question in benchmark_questions():
        answer = Answer(question.question_id, tuple(statement_for(text) for text in question.turns))
        assert [rate(question, answer, turn)[0] for turn in (1, 2)] == [10, 10], question


def test_fresh_questions_are_new_distinct_and_decided_by_the_seed() -> None:
    used = turns(benchmark_questions())
    fresh = list(fresh_questions(400, 7))
    assert fresh == list(fresh_questions(400, 7))
    assert fresh != list(fresh_questions(400, 8))
    assert len({question.turns for question in fresh}) == 400
    assert not set(turns(fresh)) & set(used)
    assert set(Counter(question.category for question in fresh).values()) == {50}


def test_more_fresh_questions_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are only"):
        next(fresh_questions(10**9, 0))
