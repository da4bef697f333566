"""What a run says before it begins of how much its held-out questions can show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from tvmerge._util.evidence import (
    ASSUMED_SD_POINTS,
    FEWEST_QUESTIONS,
    GAIN_POINTS,
    POWER,
    SCALE_POINTS,
    questions_needed,
)
from tvmerge.records import QuestionId, Trial
from tvmerge.report.numbers import count
from tvmerge.run.trial import SCORES
from tvmerge.study.blocks.table import asks_of

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec

_MOST_TRIALS = 30  # whose pairs tell how differences vary
_LEAST_PAIRED = 20  # degrees of freedom from which that is believed


_REMEDY = "add questions, or hold out more (--holdout)"


def evidence_remarks(run: RunSpec, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield what to know of a held-out comparison with few questions; nothing if there are enough.

    There are enough if a gain of half a point of ten is seen in four of five runs. With less than a third of
    that it is a warning.

    Args:
        run: What is known of the run.
        trials: The trials of its study so far, which tell how differences between candidates vary.
    """
    held = len(run.holdout_questions)
    if not held:
        yield "warning: no questions are held out, so the run cannot say whether its best beats the baselines"
        return
    compared = questions_compared(run)
    needed = _needed(run, trials)
    if compared < FEWEST_QUESTIONS:
        few = f"warning: {count(held, 'held-out question')} {'is' if held == 1 else 'are'} too few"
        further = "" if needed is None else f"; {needed[1]}"
        yield f"{few} to say whether the winner is better, which takes {FEWEST_QUESTIONS}{further}; {_REMEDY}"
    elif needed is not None and compared < needed[0]:
        choosing = "" if compared == held else f" of the {held} held out; the others choose the winner"
        kind = "warning" if 3 * compared < needed[0] else "note"
        yield f"{kind}: the winner is compared on {compared} questions{choosing}; {needed[1]}; {_REMEDY}"


def questions_compared(run: RunSpec) -> int:
    """Return how many held-out questions the winner is compared on."""
    if run.config.confirm_candidates < 2:
        return len(run.holdout_questions)
    return len(run.objective.halve(run.holdout_questions, run.config.optuna_seed)[1])


def _needed(run: RunSpec, trials: Sequence[Trial]) -> tuple[int, str] | None:
    """Return how many questions show a small gain, and that as text; None without scores of questions."""
    scale = run.objective.scale
    if scale is None:
        return None
    point = scale / SCALE_POINTS
    seen = paired_sd(trials, [question.question_id for question in run.search_questions])
    sd = ASSUMED_SD_POINTS * point if seen is None else seen
    gain = GAIN_POINTS * point
    number = questions_needed(gain, sd, scale)
    source = "as assumed" if seen is None else "as seen so far"
    return number, (
        f"to see a gain of {gain:.2g} in {POWER:.0%} of runs, about {number:,} are needed (differences "
        f"between two candidates have a standard deviation of {sd:.2g} by question, {source})"
    )


def paired_sd(trials: Sequence[Trial], questions: Sequence[QuestionId]) -> float | None:
    """Return the standard deviation of the differences between two candidates, by question.

    It is pooled over the pairs of the trials with the most scores.

    Args:
        trials: The trials, by blocks or whole.
        questions: The search questions in their order.

    Returns:
        The standard deviation in points of the score; None if too little is known.
    """
    rows = sorted((scores_of(trial, questions) for trial in trials), key=len, reverse=True)
    squares, freedom = 0.0, 0
    for first, second in combinations(rows[:_MOST_TRIALS], 2):
        gaps = [first[key] - second[key] for key in first if key in second]
        if len(gaps) > 1:
            squares += statistics.variance(gaps) * (len(gaps) - 1)
            freedom += len(gaps) - 1
    return math.sqrt(squares / freedom) if freedom >= _LEAST_PAIRED and squares else None


def scores_of(trial: Trial, questions: Sequence[QuestionId]) -> dict[QuestionId, float]:
    """Return a trial's scores of single questions."""
    found = list(zip(questions, trial.attrs.get(SCORES) or (), strict=False))
    for ask in asks_of(trial):
        found += zip(questions[ask.start : ask.stop], ask.scores or (), strict=False)
    return {key: score for key, score in found if score is not None}
