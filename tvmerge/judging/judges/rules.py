"""The offline judge: rates by fixed rules, without a language model, key or network.

It serves to try out, test and time a search. It checks form and short reference answers, not meaning. A
rating is 1 plus the points of four rules:

* right (6): the answer gives the reference concisely (see `why_wrong`); 3 if its script is not the
  question's;
* script (1): a Japanese question is answered in Japanese, any other question is not;
* sentence (1): the last sentence is complete;
* fluent (1): nothing is repeated over and over.

Without a reference to compare with (none is given, or it is a long text), the three rules of form count 3
points each, so the scale still ends at 10. An answer that is blank or a copy of the question gets 1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tvmerge.judging.judges.degenerate import CUT_IN_THOUGHT
from tvmerge.records import Answer, Judgment, Question, Rating

VERSION = 1
"""Raised with every change that can change a rating."""

PROMPT = f"rules-v{VERSION}"

_RIGHT, _RIGHT_ELSEWHERE, _FORM, _FORM_ALONE = 6, 3, 1, 3
_LONGEST_REFERENCE = 40
_ALLOWANCE = 24

_NUMBER = re.compile(r"(?<![0-9])-?[0-9]+(?:\.[0-9]+)?")
_KANA_OR_KANJI = re.compile(r"[\u3041-\u309f\u30a1-\u30ff\u3400-\u4dbf\u4e00-\u9fff々]")
_KANA = re.compile(r"[\u3041-\u309f\u30a1-\u30ff]")
_SENTENCE_END = re.compile(r"[。.!?]+[」』)\"'\s]*")
_ENDS_COMPLETE = re.compile(r"[\u3041-\u309f][。.!?]+[」』)\"']*$")
_ENDS_COMPLETE_ELSEWHERE = re.compile(r"\w+\W+\w+\W+\w+\W*[.!?]+[\"')]*$")
_ENDING = 1000
"""Characters at the end of a text that may be its last sentence: the time grows with their square."""
_SEPARATOR = re.compile(r"[、,;・/\n]|\s\|\s")
_LOOP = re.compile(r"(\w)\1{5}|(\w.{1,29}?)\2{3}", re.DOTALL)
_JOINED_BEFORE = r"(?<!と)(?<!や)(?<!か)(?<!and )(?<!or )"
_JOINED_AFTER = r"(?!や|か|または|と(?![鳴言い思呼答])| and | or )"


def rate(question: Question, answer: Answer, turn: int) -> tuple[float, str]:
    """Rate one turn of an answer.

    Args:
        question: The question.
        answer: The answer.
        turn: The turn to rate, from 1.

    Returns:
        The rating, from 1 to 10, and its reasons, one per line; the last line is `Rating: [[n]]`.

    Raises:
        ValueError: The question or the answer has no such turn.
    """
    if not 1 <= turn <= min(len(question.turns), len(answer.turns)):
        raise ValueError(f"question {question.question_id} has no turn {turn}")
    asked, said = _normal(question.turns[turn - 1]), _normal(answer.turns[turn - 1])
    if not any(character.isalnum() for character in said):
        return _floor(CUT_IN_THOUGHT if answer.cut_in_thought(turn) else "the answer is empty")
    reference = _reference(question, turn)
    if _is_copy(asked, said, reference):
        return _floor("the answer copies the question")
    cut_off = answer.finish[turn - 1 : turn] == ("length",)
    form = {
        "in the script of the question": is_japanese(said) == is_japanese(asked),
        "ends in a complete sentence": not cut_off and is_complete(said),
        "repeats nothing over and over": not repeats(said),
    }
    each = _FORM if reference else _FORM_ALONE
    points = {reason if kept else f"not: {reason}": each * kept for reason, kept in form.items()}
    if reference:
        wrong = why_wrong(asked, said, reference)
        right = _RIGHT if form["in the script of the question"] else _RIGHT_ELSEWHERE
        points[wrong or f"says the reference '{reference}'"] = 0 if wrong else right
    rating = 1 + sum(points.values())
    lines = [f"{reason}: +{count}" for reason, count in points.items()]
    return float(rating), "\n".join([*lines, f"Rating: [[{rating}]]"])


class RulesJudge:
    """Rates every turn by the rules; implements `tvmerge.protocols.Judge`."""

    @property
    def name(self) -> str:
        """`rules`."""
        return "rules"

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """The version of the rules, which alone affects a rating."""
        return {"provider": "rules", "version": VERSION}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate every answered turn; never unrated."""
        turns = range(1, min(len(question.turns), len(answer.turns)) + 1)
        return [_rating(question, answer, turn) for turn in turns]

    async def close(self) -> None:
        """Nothing to free."""


def why_wrong(asked: str, said: str, reference: str) -> str:
    """Return why `said` does not count as the answer `reference` to `asked`, or an empty string if it does.

    All three are NFKC-normalised and lower-cased first. A number must be the last number in the answer, and
    any other number in the answer must occur in the question. Other text must be contained in the last
    clause, as a whole word if it is Latin, and must not be joined to an alternative (`赤か青`). In both
    cases the answer may have at most two sentences, one separator, and 24 characters more than question and
    reference together, so that listing every possibility does not count.
    """
    if len(said) > len(asked) + len(reference) + _ALLOWANCE:
        return "too long to be to the point"
    if len(_sentences(said)) > 2 or len(_SEPARATOR.findall(said.strip())) > 1:
        return "lists more than one answer"
    if _NUMBER.fullmatch(reference):
        return _why_wrong_number(asked, said, Decimal(reference))
    last = _SEPARATOR.split(said)[-1]
    if not re.search(_bounded(reference), last):
        return f"does not say the reference '{reference}'"
    if not re.search(_JOINED_BEFORE + _bounded(reference) + _JOINED_AFTER, last):
        return "offers an alternative to the reference"
    return ""


def is_japanese(text: str) -> bool:
    """Return whether at least half of the letters are kana or kanji, and some are kana."""
    letters = sum(character.isalpha() for character in text)
    japanese = len(_KANA_OR_KANJI.findall(text))
    return _KANA.search(text) is not None and 2 * japanese >= letters


def is_complete(text: str) -> bool:
    """Return whether a text ends in a sentence: hiragana (in Japanese) or three words, and a full stop."""
    ending = _ENDS_COMPLETE if is_japanese(text) else _ENDS_COMPLETE_ELSEWHERE
    return ending.search(text.strip()[-_ENDING:]) is not None


def repeats(text: str) -> bool:
    """Return whether a sentence occurs twice, or 2 to 30 characters four times in a row, or a letter six."""
    sentences = _sentences(text)
    return len(set(sentences)) < len(sentences) or _LOOP.search(text) is not None


def _why_wrong_number(asked: str, said: str, reference: Decimal) -> str:
    numbers = [Decimal(number) for number in _NUMBER.findall(said)]
    if not numbers or numbers[-1] != reference:
        return f"the last number is not {reference}"
    known = {reference, *(Decimal(number) for number in _NUMBER.findall(asked))}
    return "" if known.issuperset(numbers) else "lists more than one number"


def _bounded(reference: str) -> str:
    # "6月" is not in "16月" and "red" not in "bored"; Japanese has no such word boundaries.
    before = r"(?<![0-9a-z])" if re.match("[0-9a-z]", reference) else ""
    after = r"(?![0-9a-z])" if re.search("[0-9a-z]$", reference) else ""
    return before + re.escape(reference) + after


def _reference(question: Question, turn: int) -> str:
    given = _normal(question.reference[turn - 1]) if turn <= len(question.reference) else ""
    return given if len(given) <= _LONGEST_REFERENCE else ""


def _is_copy(asked: str, said: str, reference: str) -> bool:
    bare = _bare(said)
    return bare != _bare(reference) and bare in _bare(asked)


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().strip()
    return re.sub(r"(?<=[0-9]),(?=[0-9]{3})", "", folded)


def _bare(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def _floor(reason: str) -> tuple[float, str]:
    return 1.0, f"{reason}: +0\nRating: [[1]]"


def _rating(question: Question, answer: Answer, turn: int) -> Rating:
    score, reply = rate(question, answer, turn)
    empty = CUT_IN_THOUGHT if answer.cut_in_thought(turn) else "empty answer"
    shown = [f"question: {question.turns[turn - 1]}", f"answer: {answer.turns[turn - 1]}"]
    if turn <= len(question.reference):
        shown.append(f"reference: {question.reference[turn - 1]}")
    return Rating(
        question_id=question.question_id,
        turn=turn,
        score=score,
        judge="rules",
        prompt=PROMPT,
        user_prompt="\n".join(shown),
        reply=reply,
        sample=0,
        note="" if _bare(answer.turns[turn - 1]) else empty,
    )
