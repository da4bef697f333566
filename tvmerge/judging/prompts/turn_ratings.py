"""Reads a judge's reply to a prompt that asks for a rating of each turn.

Strict on purpose, like `parsing`: there must be exactly one rating per turn, in the order of turns. They are
alone on their lines, announced (`Turn 1: [[7]]`, `ターン1：[[7]]`, `Rating: [[7]]`), or side by side
(`[[7]] [[5]]`). Labels must name the turns in order, and either all ratings have one or none has. Labelled
ratings may be repeated if they are the same each time. Anything else is no rating for any turn, since a
number that is assigned to the wrong turn is a wrong score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from tvmerge.judging.prompts.brackets import DOUBLE, LOOKALIKE, SINGLE, Bracket, Brackets
from tvmerge.judging.prompts.context import Certainty
from tvmerge.judging.prompts.json_replies import ABSENT, object_alone, value_under
from tvmerge.judging.prompts.parsing import Unreadable, on_scale, pattern_matches
from tvmerge.judging.prompts.turn_labels import (
    AVERAGE_WORD,
    TURN_WORD,
    turns_named,
    turns_of_headings,
    with_plain_labels,
)
from tvmerge.judging.prompts.values import RATING_WORD, Meaning, normalised, rating_in

Ratings = tuple[float, ...]
"""One rating per turn."""

_KEYS: Final = ("ratings", "scores", "rating", "score")
_UNCLEAR: Final = 0
"""Stands for the turn of a rating whose label names several turns or something else."""

_JOINT = re.compile(r"[ \t,、・;&|*_`]*(?:\band\b|と|および|及び)?[ \t*_`]*", re.IGNORECASE)
"""What may stand between two ratings that are listed side by side."""

_LINE = re.compile(
    rf"[\s*_#>•|「\"-]*(?:{TURN_WORD})(?:\s*の)?[\s*_]*(?:{RATING_WORD})?[\s*_]*(?:は|[:=])[\s*_]*([^:=]{{1,20}})",
    re.IGNORECASE,
)
"""A rating without brackets."""

_OF_NO_TURN = re.compile(
    rf"{AVERAGE_WORD}|最終|修正|改め|\b(?:final|revised|updated|corrected)\b", re.IGNORECASE
)
"""Words that announce a rating of all turns, or one in place of an earlier one; it is not said of which."""

_CLOSING: Final = ' \t\n*_`」|"。.!です'
_SEPARATOR = re.compile(r"\s*[;、]\s*|\s*,\s+|\s+")


def read_turn_ratings(text: str, turns: int, low: float = 1, high: float = 10) -> Ratings | Unreadable:
    """Return the ratings of `turns` turns in `text`, each in [`low`, `high`]."""
    alone = object_alone(text) or {}
    for key in _KEYS:
        if key in alone:
            return _listed(alone[key], turns, low, high)
    text = with_plain_labels(normalised(text))
    word = f"{TURN_WORD}|{RATING_WORD}|{AVERAGE_WORD}"
    brackets = _TurnBrackets(text, word, partial(rating_in, low=low, high=high), (low, high))
    for shape in (DOUBLE, LOOKALIKE):
        if runs := brackets.runs(shape, turns):
            return _decided(runs, turns)
    if runs := [run for run in brackets.runs(SINGLE, turns) if run.certainty is Certainty.STATED]:
        return _decided(runs, turns)
    return _last_lines(text, turns, low, high)


def read_json_turn_ratings(
    text: str, turns: int, low: float = 1, high: float = 10, key: str = "ratings"
) -> Ratings | Unreadable | None:
    """Return the list under `key` in the last JSON object of `text` that has this key; None without one."""
    value = value_under(text, key)
    return None if value is ABSENT else _listed(value, turns, low, high)


def read_pattern_turn_ratings(
    text: str, turns: int, pattern: str, low: float = 1, high: float = 10
) -> Ratings | Unreadable:
    """Return the numbers in the matches of a prompt's own `pattern`, of which there must be one per turn."""
    found = pattern_matches(text, pattern)
    return found if isinstance(found, Unreadable) else _listed(found, turns, low, high)


def read_numbers(text: str, turns: int, low: float = 1, high: float = 10) -> Ratings | Unreadable:
    """Return the ratings if `text` consists of nothing else, as in the reply to a reminder."""
    return _listed(_SEPARATOR.split(normalised(text).strip(_CLOSING)), turns, low, high)


@dataclass(frozen=True, slots=True)
class _Run:
    """Ratings that are listed side by side; often only one.

    Attributes:
        meanings: What each bracket means.
        shown: The text in each bracket.
        turn: The turn that the label of the first one names; None without a label.
        certainty: How certain it is that they are the judge's ratings.
    """

    meanings: tuple[Meaning, ...]
    shown: tuple[str, ...]
    turn: int | None
    certainty: Certainty


class _TurnBrackets(Brackets):
    """The brackets of a reply with several ratings."""

    def runs(self, shape: re.Pattern[str], turns: int) -> Sequence[_Run]:
        """Return the ratings in brackets of this shape, in order, without quotations and examples."""
        groups: list[list[Bracket]] = []
        for bracket in self._joined([*self._found(shape)]):
            if groups and self._adjoining(groups[-1][-1], bracket):
                groups[-1].append(bracket)
            else:
                groups.append([bracket])
        ends = [0, *(group[-1].end for group in groups)]
        return [
            self._run(group, end, turns)
            for group, end in zip(groups, ends, strict=False)
            if not self._around.aside(group[0].start, group[-1].end)
        ]

    def _run(self, group: Sequence[Bracket], end_before: int, turns: int) -> _Run:
        start = group[0].start
        return _Run(
            meanings=tuple(bracket.meaning for bracket in group),
            shown=tuple(bracket.shown for bracket in group),
            turn=self._turn(start, end_before, alone=len(group) == 1 < turns),
            certainty=self._around.certainty(start, group[-1].end),
        )

    def _turn(self, start: int, end_before: int, *, alone: bool) -> int | None:
        """Return the turn that the text before a rating names, on its line or else in a heading above."""
        before, _, line = self._text[end_before:start].rpartition("\n")
        if named := turns_named(line):
            return named.pop() if len(named) == 1 else _UNCLEAR
        if alone and (_OF_NO_TURN.search(line) or self._aspect(start)):
            return _UNCLEAR
        above = turns_of_headings(before)
        return above.pop() if alone and len(above) == 1 else None

    def _pair(self, first: Bracket, second: Bracket) -> Bracket:
        return second if self._adjoining(first, second) else super()._pair(first, second)

    def _adjoining(self, first: Bracket, second: Bracket) -> bool:
        return _JOINT.fullmatch(self._text[first.end : second.start]) is not None


class _Stated(NamedTuple):
    """One rating of a reply, with the turn that its label names and the size of its run."""

    turn: int | None
    rating: float
    size: int


def _decided(runs: Sequence[_Run], turns: int) -> Ratings | Unreadable:
    """Return the ratings that the judge states, or the list that ends its reply."""
    chosen = [run for run in runs if run.certainty is Certainty.STATED]
    if not chosen and len(runs) == 1 and runs[0].certainty is Certainty.CLOSING:
        chosen = [run for run in runs if len(run.meanings) == turns]
    stated = []
    for run in chosen:
        for place, meaning in enumerate(run.meanings):
            if not isinstance(meaning, float):
                return Unreadable(f"not a rating: [[{run.shown[place]}]]")
            stated.append(_Stated(None if place else run.turn, meaning, len(run.meanings)))
    return _in_order(stated, turns)


def _in_order(stated: Sequence[_Stated], turns: int) -> Ratings | Unreadable:
    """Return the ratings if there is one per turn, or the same ones again and labelled once at least."""
    rounds = [stated[at : at + turns] for at in range(0, len(stated), turns)]
    order, unnamed = [*range(1, turns + 1)], [None] * turns
    labels = [[rating.turn for rating in ratings] for ratings in rounds]
    sides = [{rating.size for rating in ratings} == {turns} for ratings in rounds]
    if len(stated) % turns or not stated or (len(rounds) > 1 and order not in labels):
        return _wrong_number(len(stated), turns)
    for label, side_by_side in zip(labels, sides, strict=True):
        if label != order and (label != unnamed or not (side_by_side or len(rounds) == 1)):
            return Unreadable(f"the ratings are not labelled turn 1 to {turns}, in this order")
    found = {tuple(rating.rating for rating in ratings) for ratings in rounds}
    return found.pop() if len(found) == 1 else Unreadable("different ratings of one turn")


def _last_lines(text: str, turns: int, low: float, high: float) -> Ratings | Unreadable:
    """Return the ratings announced in the last lines: `Turn 1: 7`, `ターン2：5/10`."""
    lines = [line for line in text.split("\n") if line.strip()][-turns:]
    found = [_LINE.fullmatch(line) for line in lines]
    values = [line[1].strip(_CLOSING) for line in found if line is not None]
    named = [turns_named(line) for line in lines]
    if len(values) < turns or named != [{turn} for turn in range(1, turns + 1)]:
        return _wrong_number(0, turns)
    return _listed(values, turns, low, high)


def _listed(values: object, turns: int, low: float, high: float) -> Ratings | Unreadable:
    """Return the ratings in a list of numbers or texts, one per turn."""
    listed = values if isinstance(values, list) else [values]
    if len(listed) != turns:
        return _wrong_number(len(listed), turns)
    ratings: list[float] = []
    for value in listed:
        rating = on_scale(value, low, high)
        if isinstance(rating, Unreadable):
            return rating
        ratings.append(rating)
    return tuple(ratings)


def _wrong_number(found: int, turns: int) -> Unreadable:
    asked = "1 turn" if turns == 1 else f"{turns} turns"
    return Unreadable(f"{found or 'no'} {'ratings' if found > 1 else 'rating'} in the reply, for {asked}")
