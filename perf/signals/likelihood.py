"""The likelihood of well-rated answers, which needs no judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tvmerge.engines.prompting.chat_format import ChatFormat, Message
from tvmerge.records import Answer, Continuation, Question, QuestionId, Recipe
from tvmerge.run.build import Run
from tvmerge.study.blocks.table import Ask

LEAST = 7.0
"""The lowest rating of a well-rated answer, of 1 to 10."""

MOST = 24
"""The most well-rated answers whose likelihood is computed."""

Answers = Mapping[tuple[int, QuestionId], Answer]
"""Answers by number of the ask and question."""


def best_answers(
    asks: Sequence[Ask], answers: Answers, questions: Sequence[Question]
) -> list[tuple[Question, Answer]]:
    """Return the best answer to each question, if it is well rated; categories in turn, the best first."""
    best: dict[int, tuple[float, Answer]] = {}
    for ask in asks:
        for place, score in enumerate(ask.scores or (), start=ask.start):
            if score is not None and score >= LEAST and score > best.get(place, (0.0,))[0]:
                best[place] = score, answers[ask.number, questions[place].question_id]
    by_category: dict[str, list[int]] = {}
    for place in sorted(best, key=lambda place: (-best[place][0], place)):
        by_category.setdefault(questions[place].category, []).append(place)
    rank = {place: turn for places in by_category.values() for turn, place in enumerate(places)}
    chosen = sorted(best, key=lambda place: (rank[place], place))[:MOST]
    return [(questions[place], best[place][1]) for place in chosen]


def turns(chat: ChatFormat, end: int, question: Question, answer: Answer) -> list[Continuation]:
    """Return each turn of a conversation, the end of the answer included, given what was said before.

    Args:
        chat: The chat template.
        end: The token that ends an answer.
        question: The user's turns.
        answer: The assistant's.
    """
    found, messages = [], list[Message]()
    for asked, said in zip(question.turns, answer.turns, strict=False):
        messages.append({"role": "user", "content": asked})
        found.append(Continuation(tuple(chat.encode(messages)), (*chat.tokens(said), end)))
        messages.append({"role": "assistant", "content": said})
    return found


async def mean_likelihood(run: Run, recipe: Recipe, texts: Sequence[Continuation]) -> float:
    """Return the mean over texts of a candidate's log-likelihood of a token, in nats; -1 without texts."""
    if not texts:
        return -1.0
    found = await run.pool.loglikelihood(recipe, texts)
    return float(np.mean([one.logprob / len(text.tokens) for one, text in zip(found, texts, strict=True)]))
