"""Reads and writes FastChat's files `model_answer/<model>.jsonl` and `model_judgment/<judge>_single.jsonl`.

FastChat's own tools can read these files, and ignore tvmerge's additional keys.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast, get_args

from tvmerge._util.canonical import digest
from tvmerge._util.files import append_pieces, jsonl_line, read_growing_jsonl, read_jsonl, write_jsonl
from tvmerge.errors import AssetError
from tvmerge.reasoning.thoughts import SplitText, split_texts
from tvmerge.records import WHOLE, Answer, Finish, Judgment, Question, QuestionId, Rating, Unrated
from tvmerge.tasks.fastchat.rows import Row

_UNSCORED = -1
_ID_LENGTH = 22  # as long as the short UUIDs that FastChat writes


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """A model's answers to a benchmark.

    Attributes:
        model: The file's stem, which FastChat uses as the model's name.
        answers: The answers in the order of the benchmark's questions; a question may have none or several.
        unasked: Answered questions that the benchmark does not have.
    """

    model: str
    answers: tuple[Answer, ...]
    unasked: int = 0

    @property
    def first(self) -> dict[QuestionId, Answer]:
        """Return the first answer to each answered question, with which others are compared."""
        return {answer.question_id: answer for answer in reversed(self.answers)}


def write_answers(
    path: Path, model: str, answers: Iterable[Answer], tstamp: float, *, keep: bool = False
) -> None:
    """Write answers in FastChat's model_answer format, one line per question; samples become choices.

    Args:
        path: The file.
        model: Written as `model_id`.
        answers: In any order; a question's line is where its first answer is.
        tstamp: Seconds since 1970, written into every line.
        keep: Keep the lines of other questions that the file has.

    Raises:
        AssetError: A line to be kept is malformed.
    """
    by_question: dict[QuestionId, list[Answer]] = {}
    for answer in answers:
        by_question.setdefault(answer.question_id, []).append(answer)
    before = [row for _, row in read_jsonl(path)] if keep and path.exists() else []
    kept = [row for row in before if row.get("question_id") not in by_question]
    write_jsonl(path, chain(kept, (_answer_row(model, some, tstamp) for some in by_question.values())))


def read_answers(path: Path, questions: Sequence[Question], turns: int | None = None) -> ModelAnswers:
    """Read answers in FastChat's model_answer format.

    If a file of another tool has thoughts in the answers, they are separated (`tvmerge.reasoning.thoughts`).

    Ids match as text or number. If a question occurs twice, the last line wins, as in FastChat. An answer
    may have fewer turns than its question. Answers to unknown questions are counted and ignored.

    Args:
        path: The file.
        questions: The benchmark's questions.
        turns: Maximum number of turns read per answer; None for all.

    Raises:
        AssetError: A line, named in the message, is malformed or has more turns than its question, or no line
            answers a known question.
    """
    known = {str(question.question_id): question for question in questions}
    found: dict[str, list[Answer]] = {}
    unasked: dict[str, Row] = {}
    for row in _rows(path):
        key = str(row.question_id())
        if key in known:
            found[key] = list(_choices(row, known[key], turns))
        else:
            unasked.setdefault(key, row)
    if not found and unasked:
        raise AssetError(
            f"{path}: none of its {len(unasked)} questions ({', '.join(list(unasked)[:3])}, ...) is in the "
            "benchmark; choose the benchmark that was answered"
        )
    if not found:
        raise AssetError(f"{path}: contains no answers; write one JSON object per line")
    answers = [answer for key in known for answer in found.get(key, ())]
    return ModelAnswers(path.stem, tuple(_without_thoughts(answers)), len(unasked))


def read_references(path: Path) -> dict[str, tuple[str, ...]]:
    """Read reference turns by question id (as text) from a file in FastChat's model_answer format.

    The first choice is the reference, without a model's thoughts. Blank references are ignored. The file may
    have references for questions that are not asked.

    Raises:
        AssetError: A line, named in the message, is malformed.
    """
    references = {str(row.question_id()): _turns(row, _choice_list(row)[0]) for row in _rows(path)}
    parted = iter(split_texts([turn for turns in references.values() for turn in turns]))
    answers = {key: tuple(next(parted).answer for _ in turns) for key, turns in references.items()}
    return {key: turns for key, turns in answers.items() if any(turn.strip() for turn in turns)}


def write_judgments(path: Path, judgments: Iterable[tuple[str, Judgment]], tstamp: float) -> None:
    """Write (model, judgment) pairs in FastChat's model_judgment format.

    An `Unrated` judgment is written with a score of -1. This is FastChat's convention for "no rating", which
    its `show_result` excludes from every mean; `read_judgments` converts it back. Ratings that have a score
    only together with all other questions are written the same way.
    """
    write_jsonl(path, (_judgment_row(model, judgment, tstamp) for model, judgment in judgments))


def append_judgments(path: Path, judgments: Iterable[tuple[str, Judgment]], tstamp: float) -> None:
    """Like `write_judgments`, but append to the file."""
    append_pieces(path, (jsonl_line(_judgment_row(*pair, tstamp)) for pair in judgments))


def read_turns(path: Path) -> dict[QuestionId, tuple[str, ...]]:
    """Read the unchanged turns of each first answer, without checking them for thoughts."""
    return {
        row.question_id(): row.as_texts("turns", _choice_list(row)[0].get("turns")) for row in _rows(path)
    }


def read_judgments(path: Path) -> list[tuple[str, Judgment]]:
    """Read (model, judgment) pairs from a file in FastChat's model_judgment format, in the file's order.

    Raises:
        AssetError: A line, named in the message, is malformed.
    """
    return list(each_judgment(path))


def each_judgment(path: Path, models: Collection[str] | None = None) -> Iterator[tuple[str, Judgment]]:
    """Like `read_judgments`, but yield one judgment at a time, since there may be many long ones.

    With `models`, only theirs; a run may be appending to the file.
    """
    for line, data in read_jsonl(path) if models is None else read_growing_jsonl(path):
        if models is None or data.get("model") in models:
            yield (row := Row(path, line, data)).text("model"), _judgment(row)


def _rows(path: Path) -> Iterator[Row]:
    for line, data in read_jsonl(path):
        yield Row(path, line, data)


def _answer_row(model: str, samples: Sequence[Answer], tstamp: float) -> dict[str, object]:
    choices: list[dict[str, object]] = []
    for answer in sorted(samples, key=lambda item: item.sample):
        choice: dict[str, object] = {"index": answer.sample, "turns": list(answer.turns)}
        if answer.finish:
            choice["finish"] = list(answer.finish)
        if answer.thoughts:
            choice["thoughts"] = list(answer.thoughts)
        choices.append(choice)
    question_id = samples[0].question_id
    return {
        "question_id": question_id,
        "answer_id": digest([question_id, model, choices])[:_ID_LENGTH],
        "model_id": model,
        "choices": choices,
        "tstamp": tstamp,
    }


def _choices(row: Row, question: Question, most: int | None) -> Iterator[Answer]:
    seen: set[int] = set()
    for position, choice in enumerate(_choice_list(row)):
        turns = _turns(row, choice)
        thoughts = row.as_texts("thoughts", choice.get("thoughts", []))
        if thoughts and len(thoughts) != len(turns):
            raise row.error(f"'thoughts' has {len(thoughts)} texts for {len(turns)} turns")
        turns = turns[:most]
        if len(turns) > len(question.turns):
            raise row.error(f"the answer has {len(turns)} turns, its question only {len(question.turns)}")
        sample = Row(row.path, row.line, choice).whole("index", least=0, default=position)
        if sample in seen:
            raise row.error(f"two choices have the index {sample}")
        seen.add(sample)
        yield Answer(question.question_id, turns, _finish(row, choice)[:most], sample, thoughts[:most])


def _choice_list(row: Row) -> list[Mapping[str, Any]]:
    if "choices" not in row.data and isinstance(row.data.get("text"), str):
        return [{"turns": [row.data["text"]]}]  # FastChat's format before it had turns
    choices = row.required("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(item, dict) for item in choices):
        raise row.error("'choices' must be a list of at least one object with 'turns'")
    return choices


def _turns(row: Row, choice: Mapping[str, Any]) -> tuple[str, ...]:
    turns = row.as_texts("turns", choice.get("turns"))
    if not turns:
        raise row.error("'turns' is empty; an answer needs at least one turn")
    return turns


def _finish(row: Row, choice: Mapping[str, Any]) -> tuple[Finish, ...]:
    finish = row.as_texts("finish", choice.get("finish", []))
    if not set(finish) <= set(get_args(Finish)):
        raise row.error(f"'finish' may hold {' and '.join(get_args(Finish))}, got {list(finish)}")
    return cast("tuple[Finish, ...]", finish)


def _without_thoughts(answers: Sequence[Answer]) -> Iterator[Answer]:
    """Yield the answers with their thoughts separated; thoughts stored separately are left as they are."""
    parted = iter(split_texts([turn for answer in answers if not answer.thoughts for turn in answer.turns]))
    for answer in answers:
        yield answer if answer.thoughts else _parted(answer, [next(parted) for _ in answer.turns])


def _parted(answer: Answer, turns: Sequence[SplitText]) -> Answer:
    if not any(turn.thoughts for turn in turns):
        return answer
    unknown: Finish = "stop"
    finish = [*answer.finish, *(unknown for _ in turns[len(answer.finish) :])]
    return replace(
        answer,
        turns=tuple(turn.answer.strip() for turn in turns),
        finish=tuple(end if turn.finished else "thought" for turn, end in zip(turns, finish, strict=True)),
        thoughts=tuple(turn.thought for turn in turns),
    )


def _judgment_row(model: str, judgment: Judgment, tstamp: float) -> dict[str, object]:
    row: dict[str, object] = {
        "question_id": judgment.question_id,
        "model": model,
        "judge": [judgment.judge, judgment.prompt],
        "user_prompt": judgment.user_prompt,
        "judgment": judgment.reply,
        "score": _score(judgment),
        "turn": judgment.turn,
        "tstamp": tstamp,
    }
    if judgment.sample:
        row["sample"] = judgment.sample
    if isinstance(judgment, Unrated):
        row["reason"] = judgment.reason
    elif math.isnan(judgment.score):
        row["reason"] = WHOLE
    elif judgment.note:
        row["note"] = judgment.note
    return row


def _score(judgment: Judgment) -> float:
    if isinstance(judgment, Unrated) or math.isnan(judgment.score):
        return _UNSCORED
    return int(judgment.score) if judgment.score.is_integer() else judgment.score


def _judgment(row: Row) -> Judgment:
    judge = row.as_texts("judge", row.required("judge"))
    if len(judge) != 2:
        raise row.error("'judge' must hold the judge's model and the prompt's name")
    rating = Rating(
        question_id=row.question_id(),
        turn=row.whole("turn", least=1, default=1),
        score=row.number("score"),
        judge=judge[0],
        prompt=judge[1],
        user_prompt=row.as_text("user_prompt", row.data.get("user_prompt", "")),
        reply=row.as_text("judgment", row.data.get("judgment", "")),
        sample=row.whole("sample", least=0, default=0),
        note=row.as_text("note", row.data.get("note", "")),
    )
    if rating.score != _UNSCORED:
        return rating
    return Unrated(
        question_id=rating.question_id,
        turn=rating.turn,
        judge=rating.judge,
        prompt=rating.prompt,
        reason=row.as_text("reason", row.data.get("reason", "no rating")),
        user_prompt=rating.user_prompt,
        reply=rating.reply,
        sample=rating.sample,
    )
