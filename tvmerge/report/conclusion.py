"""The conclusion of a run, in a sentence that claims no more than the interval allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tvmerge._util.evidence import FEWEST_QUESTIONS
from tvmerge.records import Difference, Estimate
from tvmerge.report.language import tr
from tvmerge.report.numbers import count, estimate, interval, score, weight
from tvmerge.report.result import Contender, ContenderKey, RunRecord

Kind = Literal["better", "unclear", "worse", "too_few", "unmeasured"]

# The simplest alternative first, so that it is named if several score the same.
_BASELINES: tuple[ContenderKey, ...] = ("uniform", "weight_1", "weight_0")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The conclusion of a run.

    Attributes:
        kind: `better` or `worse` if the 95% interval of the gain over the strongest rival excludes 0,
            `unclear` if it does not, `too_few` if it rests on fewer than `FEWEST_QUESTIONS` questions,
            `unmeasured` if no comparison on held-out questions was possible.
        sentence: The conclusion as a sentence.
        rival: The baseline that it is about; None if none has a score.
    """

    kind: Kind
    sentence: str
    rival: Contender | None = None


def conclusion(result: RunRecord) -> str:
    """Return the conclusion of the run as a sentence."""
    return conclude(result).sentence


def conclude(result: RunRecord) -> Conclusion:
    """Compare the winner with the strongest of the baselines: weight 0, weight 1 and a uniform weight."""
    if result.unfinished:
        return Conclusion("unmeasured", result.unfinished)
    best = result.contenders[0]
    own = _baseline_that_is(best, result)
    rival = strongest_rival(result)
    if rival is None:
        return Conclusion("unmeasured", _alone(result, best, own))
    subject = subject_of(best)
    if own is not None:
        subject = tr("the search found nothing better than {own}, which", own=named(own))
    if not has_holdout(result):
        return Conclusion("unmeasured", _on_search_questions(best, rival, subject), rival)
    kind, statement = _compared(rival.gain, subject, named(rival))
    return Conclusion(kind, _sentence(statement), rival)


def strongest_rival(result: RunRecord) -> Contender | None:
    """Return the baseline with the highest deciding score (see `shown`), if any has a score.

    A baseline that is the same model as the winner is no rival.
    """
    best = result.contenders[0]
    baselines = [result.contender(key) for key in _BASELINES]
    rivals = [c for c in baselines if c is not None and not same_weights(best, c)]
    known = [(shown(result, c).mean, c) for c in rivals if not math.isnan(shown(result, c).mean)]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def has_holdout(result: RunRecord) -> bool:
    """Return whether held-out questions were asked at the end."""
    return result.contenders[0].holdout is not None


def shown(result: RunRecord, contender: Contender) -> Estimate:
    """Return the deciding score: the held-out one, or the search's if there are no held-out questions."""
    if not has_holdout(result):
        return contender.search
    return contender.holdout or Estimate(math.nan, math.nan, 0)


def name(contender: Contender) -> str:
    """Return the name of a contender; a uniform weight includes its value."""
    if contender.key != "uniform":
        return contender.label
    return tr("{name} ({weight})", name=contender.label, weight=weight(uniform_value(contender)))


def named(contender: Contender) -> str:
    """Return the name of a baseline within a sentence."""
    return tr("the {name}", name=name(contender)) if contender.key == "uniform" else name(contender)


def subject_of(best: Contender) -> str:
    """Return what a sentence calls the best: `the winner, trial 31,` of a held-out comparison."""
    if best.trial is None:
        return tr("the {name}", name=best.label)
    return tr("the {name}, trial {n},", name=best.label, n=best.trial)


def uniform_value(contender: Contender) -> float:
    """Return the value of a uniform weight."""
    return next(iter(contender.weights.values()))


def same_weights(a: Contender, b: Contender) -> bool:
    """Return whether two contenders are the same model."""
    return dict(a.weights) == dict(b.weights)


def _baseline_that_is(best: Contender, result: RunRecord) -> Contender | None:
    # Weight 1 and weight 0 first: the best uniform weight may be one of them.
    baselines = [result.contender(key) for key in reversed(_BASELINES)]
    return next((c for c in baselines if c is not None and same_weights(best, c)), None)


def _compared(gain: Difference | None, subject: str, other: str) -> tuple[Kind, str]:
    if gain is None or math.isnan(gain.difference):
        return "unmeasured", tr(
            "{subject} cannot be compared with {other} since too few held-out questions were rated for both",
            subject=subject,
            other=other,
        )
    kind, text = _statement(gain)
    return kind, tr(
        text,
        subject=subject,
        other=other,
        on=count(gain.n, "held-out question"),
        amount=_amount(gain.difference),
        size=score(abs(gain.difference)),
        interval=interval(gain),
        fewest=FEWEST_QUESTIONS,
    )


def _statement(gain: Difference) -> tuple[Kind, str]:
    """Return what may be claimed, with places for its numbers."""
    if gain.n < FEWEST_QUESTIONS:
        return "too_few", (
            "{subject} scores {amount} {other} on {on}: too few questions to say which is better (fewer than "
            "{fewest})"
        )
    if math.isnan(gain.low) or math.isnan(gain.high):
        return "unmeasured", "{subject} scores {amount} {other} on {on} (no 95% interval)"
    if gain.low > 0:
        return "better", "{subject} beats {other} by {size} on {on} (95% interval {interval})"
    if gain.high < 0:
        return "worse", "{subject} is worse than {other} by {size} on {on} (95% interval {interval})"
    return "unclear", (
        "{subject} scores {amount} {other} on {on}, but the 95% interval {interval} includes 0: no clear "
        "difference"
    )


def _on_search_questions(best: Contender, rival: Contender, subject: str) -> str:
    return tr(
        "No questions were held out; on those of the search, {subject} scores {amount} {other}; a score "
        "flatters what was chosen by it.",
        subject=subject,
        amount=_amount(best.search.mean - rival.search.mean),
        other=named(rival),
    )


def _alone(result: RunRecord, best: Contender, own: Contender | None) -> str:
    estimated = shown(result, best)
    on = count(estimated.n, "held-out question" if has_holdout(result) else "search question")
    at = estimate(estimated)
    if own is not None:
        return tr(
            "The search found nothing better than {own}, which scores {score} on {on}; there is no other "
            "baseline with a score to compare it with.",
            own=named(own),
            score=at,
            on=on,
        )
    return _sentence(
        tr(
            "{subject} scores {score} on {on}; there is no baseline with a score to compare it with",
            subject=subject_of(best),
            score=at,
            on=on,
        )
    )


def _amount(difference: float) -> str:
    size = score(abs(difference))
    if size == score(0):
        return tr("the same as")
    return tr("{size} higher than", size=size) if difference > 0 else tr("{size} lower than", size=size)


def _sentence(text: str) -> str:
    return tr("{sentence}.", sentence=f"{text[0].upper()}{text[1:]}")


def short_name(contender: Contender) -> str:
    """Return the name of a contender in figures."""
    if contender.key == "uniform":
        return tr("uniform {weight}", weight=weight(uniform_value(contender)))
    if contender.key == "best":
        return contender.label
    return tr(contender.key.replace("_", " "))
