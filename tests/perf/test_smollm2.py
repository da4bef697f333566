"""Searches on a small real model: what it is trained on and asked.

No module: perf/economy/smollm2, which is no part of the package.
"""

from __future__ import annotations

from perf.economy.smollm2.facts import QUESTIONS, chats, documents, fresh_questions, search_questions
from tvmerge.judging.judges.rules import rate
from tvmerge.records import Answer


def test_the_truth_is_measured_on_facts_that_no_search_asks_for() -> None:
    asked, fresh = search_questions(96, 0), fresh_questions(96, 1)
    assert len({question.turns for question in (*asked, *fresh)}) == 192
    subjects = {about for pairs, _ in QUESTIONS.values() for about, _ in pairs}

    def about(turns: tuple[str, ...]) -> set[str]:
        return {word for word in subjects if f" {word}" in turns[0]}

    assert all(about(question.turns) for question in (*asked, *fresh))
    assert not {w for q in asked for w in about(q.turns)} & {w for q in fresh for w in about(q.turns)}


def test_nothing_that_is_trained_on_answers_a_question() -> None:
    trained = " ".join([*documents(), *(text for chat in chats() for text in chat)])
    assert not any(question.reference[0] in trained.split() for question in search_questions(96, 0))


def test_an_answer_of_one_short_sentence_gets_the_highest_rating() -> None:
    question = next(q for q in search_questions(96, 0) if q.category == "capitals")
    said = f"It is the city of {question.reference[0]}."
    assert rate(question, Answer(question.question_id, (said,)), 1)[0] == 10
