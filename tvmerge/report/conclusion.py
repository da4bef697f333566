"""The conclusion of a run, in a sentence that claims no more than the interval allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tvmerge.records import Difference, Estimate
from tvmerge.report.numbers import count, estimate, interval, score, weight
from tvmerge.report.result import Contender, ContenderKey, RunRecord

Kind = Literal["better", "unclear", "worse", "unmeasured"]

# The plain task vector first, so that it is named if both baselines score the same.
_BASELINES: tuple[ContenderKey, ...] = ("weight_1", "weight_0")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The conclusion of a run.

    Attributes:
        kind: `better` or `worse` if the 95% interval of the gain over the better baseline excludes 0,
            `unclear` if it does not, `unmeasured` if no comparison on held-out questions was possible.
        sentence: The conclusion as a sentence.
    """

    kind: Kind
    sentence: str


def conclusion(result: RunRecord) -> str:
    """Return the conclusion of the run as a sentence."""
    return conclude(result).sentence


def conclude(result: RunRecord) -> Conclusion:
    """Compare the best with the better of the two baselines, weight 0 and weight 1."""
    if result.unfinished:
        return Conclusion("unmeasured", result.unfinished)
    best = result.contenders[0]
    own = _baseline_that_is(best, result)
    baseline = better_baseline(result, besides=own)
    if baseline is None:
        return Conclusion("unmeasured", _alone(result, best, own))
    subject = "the best of the search"
    other = f"the better baseline, {baseline.label},"
    if own is not None:
        subject = f"the search found nothing better than {own.label}, which"
        other = baseline.label
    if not has_holdout(result):
        return Conclusion("unmeasured", _on_search_questions(best, baseline, subject, other))
    kind, statement = _compared(baseline.gain, other)
    return Conclusion(kind, _sentence(f"{subject} {statement}"))


def better_baseline(result: RunRecord, besides: Contender | None = None) -> Contender | None:
    """Return the baseline with the higher deciding score (see `shown`), if any has a score."""
    baselines = [result.contender(key) for key in _BASELINES]
    scores = [(shown(result, c).mean, c) for c in baselines if c is not None and c is not besides]
    known = [pair for pair in scores if not math.isnan(pair[0])]
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
    return f"{contender.label} ({weight(next(iter(contender.weights.values())))})"


def same_weights(a: Contender, b: Contender) -> bool:
    """Return whether two contenders are the same model."""
    return dict(a.weights) == dict(b.weights)


def _baseline_that_is(best: Contender, result: RunRecord) -> Contender | None:
    baselines = [result.contender(key) for key in _BASELINES]
    return next((c for c in baselines if c is not None and same_weights(best, c)), None)


def _compared(gain: Difference | None, other: str) -> tuple[Kind, str]:
    if gain is None or math.isnan(gain.difference):
        return (
            "unmeasured",
            f"cannot be compared with {other} since too few held-out questions were rated for both",
        )
    on = f"on {count(gain.n, 'held-out question')}"
    bounds = f"95% interval {interval(gain)}"
    if math.isnan(gain.low) or math.isnan(gain.high):
        return "unmeasured", f"scores {_amount(gain.difference)} {other} {on} (no 95% interval)"
    if gain.low > 0:
        return "better", f"beats {other} by {score(gain.difference)} {on} ({bounds})"
    if gain.high < 0:
        return "worse", f"is worse than {other} by {score(-gain.difference)} {on} ({bounds})"
    amount = _amount(gain.difference)
    return "unclear", f"scores {amount} {other} {on}, but the {bounds} includes 0: no clear difference"


def _on_search_questions(best: Contender, baseline: Contender, subject: str, other: str) -> str:
    lead = _amount(best.search.mean - baseline.search.mean)
    return (
        f"No questions were held out; on those of the search, {subject} scores {lead} "
        f"{other.removesuffix(',')}; a score flatters what was chosen by it."
    )


def _alone(result: RunRecord, best: Contender, own: Contender | None) -> str:
    estimated = shown(result, best)
    on = count(estimated.n, "held-out question" if has_holdout(result) else "search question")
    if own is not None:
        return (
            f"The search found nothing better than {own.label}, which scores {estimate(estimated)} on {on}; "
            "there is no other baseline with a score to compare it with."
        )
    return (
        f"The best of the search scores {estimate(estimated)} on {on}; "
        "there is no baseline with a score to compare it with."
    )


def _amount(difference: float) -> str:
    if score(difference) == score(0):
        return "the same as"
    return f"{score(abs(difference))} {'higher' if difference > 0 else 'lower'} than"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def short_name(contender: Contender) -> str:
    """Return the name of a contender in figures."""
    if contender.key == "uniform":
        return f"uniform {weight(next(iter(contender.weights.values())))}"
    return contender.key.replace("_", " ")
