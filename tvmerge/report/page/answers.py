"""Arranges the answers of the contenders side by side, question by question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from tvmerge.records import WHOLE, Judgment, Question, QuestionId, Rating, Unrated
from tvmerge.report.conclusion import name, same_weights, strongest_rival
from tvmerge.report.numbers import MISSING
from tvmerge.report.result import Contender, ContenderKey, RunRecord, Sample

Change = Literal["better", "same", "worse", "unknown"]

SIDE_BY_SIDE: tuple[ContenderKey, ...] = ("weight_0", "weight_1", "uniform", "best")


@dataclass(frozen=True, slots=True)
class ShownJudgment:
    """What the judge said of one turn.

    Attributes:
        rating: The score, or a dash.
        words: The judge's reply; empty if it was not asked, or if the reply is shown at an earlier turn.
        note: Why there is no rating, or why no judge was asked, or at which turn its reply is shown; empty
            otherwise.
        judge: The judge's name.
    """

    rating: str
    words: str
    note: str
    judge: str


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer to one turn.

    Attributes:
        text: The answer.
        thought: The model's thought before it; may be empty.
        cut_off: Whether it ended at the token limit.
        cut_in_thought: Whether it ended while the model was still thinking.
        judgments: Its judgments.
    """

    text: str
    thought: str
    cut_off: bool
    cut_in_thought: bool
    judgments: tuple[ShownJudgment, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A contender whose answers are shown, with its name."""

    key: ContenderKey
    label: str
    shelf: Mapping[QuestionId, tuple[Sample, ...]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a question, with the replies of each column, one for each sample."""

    number: int
    prompt: str
    reference: str
    replies: tuple[tuple[ShownAnswer, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question with the answers of the contenders side by side.

    Attributes:
        question: The question.
        change: How the winner's mean rating compares with the strongest rival's on this question.
        lead: Their difference; None if one has no rating.
        samples: The samples of each column.
    """

    question: Question
    change: Change
    lead: float | None
    samples: tuple[tuple[Sample, ...], ...]

    def turns(self) -> Iterator[Turn]:
        """Yield the conversation, which is not kept."""
        return (_turn(self.question, index, self.samples) for index in range(len(self.question.turns)))


def columns(result: RunRecord) -> tuple[Column, ...]:
    """Return the contenders whose answers are shown, the best last; a model is shown once."""
    found: list[Contender] = []
    for key in SIDE_BY_SIDE:
        contender = result.contender(key)
        if contender is None or not contender.samples:
            continue
        if key == "uniform" and any(same_weights(contender, other) for other in (*found, *_best(result))):
            continue
        found.append(contender)
    return tuple(Column(c.key, name(c), _by_question(c.samples)) for c in found)


def comparisons(result: RunRecord, shown: Sequence[Column]) -> tuple[Comparison, ...]:
    """Return every question that the winner has answered, in order."""
    baseline = strongest_rival(result)
    shelves = {column.key: column.shelf for column in shown}
    theirs = {} if baseline is None else shelves.get(baseline.key, {})
    questions = {s.question.question_id: s.question for s in result.contenders[0].samples}
    return tuple(
        _comparison(question, shown, _lead(shelves["best"].get(number, ()), theirs.get(number, ())))
        for number, question in questions.items()
    )


def categories(found: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the categories in the order of the questions."""
    return tuple(dict.fromkeys(comparison.question.category for comparison in found))


def _best(result: RunRecord) -> tuple[Contender, ...]:
    return result.contenders[:1]


def _by_question(samples: Sequence[Sample]) -> dict[QuestionId, tuple[Sample, ...]]:
    shelf: dict[QuestionId, tuple[Sample, ...]] = {}
    for sample in samples:
        number = sample.question.question_id
        shelf[number] = (*shelf.get(number, ()), sample)
    return shelf


def _comparison(question: Question, shown: Sequence[Column], lead: float | None) -> Comparison:
    samples = tuple(column.shelf.get(question.question_id, ()) for column in shown)
    return Comparison(question, _change(lead), lead, samples)


def _lead(best: Sequence[Sample], baseline: Sequence[Sample]) -> float | None:
    lead = _mean(best) - _mean(baseline)
    return None if math.isnan(lead) else lead


def _mean(samples: Sequence[Sample]) -> float:
    ratings = [j.score for sample in samples for j in sample.judgments if isinstance(j, Rating)]
    ratings = [rating for rating in ratings if not math.isnan(rating)]
    return fmean(ratings) if ratings else math.nan


def _change(lead: float | None) -> Change:
    if lead is None:
        return "unknown"
    if lead == 0:
        return "same"
    return "better" if lead > 0 else "worse"


def _turn(question: Question, index: int, samples: Sequence[tuple[Sample, ...]]) -> Turn:
    return Turn(
        number=index + 1,
        prompt=question.turns[index],
        reference=question.reference[index] if index < len(question.reference) else "",
        replies=tuple(tuple(_replies(some, index)) for some in samples),
    )


def _replies(samples: Sequence[Sample], index: int) -> Iterator[ShownAnswer]:
    for sample in samples:
        answer = sample.answer
        if index < len(answer.turns):
            said = tuple(_shown_once(j, sample.judgments) for j in sample.judgments if j.turn == index + 1)
            yield ShownAnswer(
                text=answer.turns[index],
                thought=answer.thoughts[index] if answer.thoughts else "",
                cut_off=answer.finish[index : index + 1] == ("length",),
                cut_in_thought=answer.cut_in_thought(index + 1),
                judgments=said,
            )


def _shown_once(judgment: Judgment, all_turns: Sequence[Judgment]) -> ShownJudgment:
    """Return a judgment, without the judge's words if they rate an earlier turn too and are shown there."""
    shown = _shown_judgment(judgment)
    first = min(other.turn for other in all_turns if other is judgment or _one_reply(other, judgment))
    if first == judgment.turn:
        return shown
    note = "; ".join(filter(None, (shown.note, f"{judgment.judge}: see turn {first}")))
    return replace(shown, words="", note=note)


def _one_reply(one: Judgment, other: Judgment) -> bool:
    """Return whether two judgments of an answer come from one reply of a judge."""
    first, second = ((j.judge, j.sample, j.user_prompt, j.reply) for j in (one, other))
    return bool(one.user_prompt) and first == second


def _shown_judgment(judgment: Judgment) -> ShownJudgment:
    if isinstance(judgment, Unrated):
        return ShownJudgment(MISSING, judgment.reply, judgment.reason, judgment.judge)
    if math.isnan(judgment.score):
        return ShownJudgment(MISSING, judgment.reply, WHOLE, judgment.judge)
    return ShownJudgment(f"{judgment.score:g}", judgment.reply, judgment.note, judgment.judge)
