"""The data of the page as JSON in script elements, from which the page's script shows what is on screen.

What is said to questions is in parts of its own, which the script reads when they are shown or searched.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from tvmerge.records import CUT_IN_THOUGHT, MEAN, Trial
from tvmerge.report.drawing.svg import legal
from tvmerge.report.numbers import MISSING, percent, score, standard_error
from tvmerge.report.page.answers import Column, Comparison, ShownAnswer, Turn
from tvmerge.report.result import RunRecord

QUESTIONS_PER_PAGE = 10
ROWS_PER_PAGE = 50

PACKED_FROM = 12_000_000
"""Number of bytes of all parts from which they are packed: unpacking takes longer, but they are small."""

# A script element ends at the next `</script`, whatever stands around it, and some parsers know more marks.
# JSON may write each of these characters as its number.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def payload(
    result: RunRecord,
    columns: Sequence[Column],
    found: Sequence[Comparison],
    text: Mapping[str, str],
    *,
    thinking: bool,
) -> str:
    """Return the page's data, without what is said to questions, as JSON that is inert in a script element.

    Args:
        result: The run.
        columns: The contenders whose answers are shown.
        found: The questions with their answers.
        text: The texts of the interface that the script shows.
        thinking: Whether any candidate thinks before it answers.
    """
    best, by_blocks = result.contenders[0], result.by_blocks
    return embedded(
        {
            "text": dict(text),
            "page_size": QUESTIONS_PER_PAGE,
            "table_size": ROWS_PER_PAGE,
            "columns": [{"key": column.key, "label": column.label} for column in columns],
            "questions": [_question(comparison) for comparison in found],
            "part_size": QUESTIONS_PER_PAGE,
            "tables": {
                "trials": {
                    "best": MISSING if best.trial is None else str(best.trial),
                    "rows": [
                        _trial(trial, text, by_blocks=by_blocks, thinking=thinking) for trial in result.trials
                    ],
                },
                "weight-table": {
                    "best": None,
                    "rows": [[name, f"{value + 0.0:.4f}"] for name, value in best.weights.items()],
                },
            },
        }
    )


def parts(found: Sequence[Comparison]) -> Iterator[str]:
    """Yield what is said to the questions, a number of them at a time, as JSON like `payload`'s.

    Much becomes a JSON string in each part: the same JSON packed by gzip, in base64. It need not fit into
    memory twice, so it is made once to see how much it is, and again to be written.

    Args:
        found: The questions with their answers.
    """
    sizes = accumulate(len(text.encode("utf-8")) for text in _texts(found))
    if any(size >= PACKED_FROM for size in sizes):
        return (json.dumps(_packed(text)) for text in _texts(found))
    return (text.translate(_ESCAPES) for text in _texts(found))


def _texts(found: Sequence[Comparison]) -> Iterator[str]:
    for first in range(0, len(found), QUESTIONS_PER_PAGE):
        shown = found[first : first + QUESTIONS_PER_PAGE]
        yield _json([[_turn(turn) for turn in comparison.turns()] for comparison in shown])


def embedded(data: object) -> str:
    """Return `data` as JSON that contains no character with a meaning in HTML."""
    return _json(data).translate(_ESCAPES)


def _json(data: object) -> str:
    return legal(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 6, mtime=0)).decode("ascii")


def _question(comparison: Comparison) -> dict[str, Any]:
    return {
        "id": str(comparison.question.question_id),
        "category": comparison.question.category,
        "change": comparison.change,
        "lead": comparison.lead,
        "size": score(abs(comparison.lead or 0.0)),
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "prompt": turn.prompt,
        "reference": turn.reference,
        "replies": [[_reply(reply) for reply in replies] for replies in turn.replies],
    }


def _reply(reply: ShownAnswer) -> dict[str, Any]:
    return {
        "text": reply.text,
        "thought": reply.thought,
        "end": "thought" if reply.cut_in_thought else "length" if reply.cut_off else "",
        "judgments": [[j.rating, j.words, j.note, j.judge] for j in reply.judgments],
    }


def _trial(trial: Trial, text: Mapping[str, str], *, by_blocks: bool, thinking: bool) -> list[str]:
    states = {"COMPLETE": "finalist", "PRUNED": "estimated"} if by_blocks else {}
    state = states.get(trial.state, trial.state.lower())
    row = [
        str(trial.number),
        text.get(state, state),
        score(trial.attrs.get(MEAN, trial.value)),
        score(standard_error(trial)),
        str(trial.attrs.get("n", MISSING)),
        _share(trial.attrs.get("coverage")),
    ]
    return [*row, _share(trial.attrs.get(CUT_IN_THOUGHT))] if thinking else row


def _share(value: object) -> str:
    return percent(value) if isinstance(value, int | float) else MISSING
