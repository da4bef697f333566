"""Warnings about a gain: reasons not to trust it yet."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tvmerge.report.answer_stats import AnswerStats, answer_stats
from tvmerge.report.conclusion import named, same_weights, strongest_rival, uniform_value
from tvmerge.report.numbers import count, gain, percent, signed, weight
from tvmerge.report.result import Contender, RunRecord

# Differences between the winner and its strongest rival from which a remark is made.
_SHARE = 0.1
_LENGTH_RATIO = 1.5


def caveats(result: RunRecord) -> tuple[str, ...]:
    """Return sentences that qualify the conclusion; empty if there are no concerns."""
    if result.unfinished:
        return ()
    best, baseline = result.contenders[0], strongest_rival(result)
    return (
        *_one_weight(best, result.contender("uniform"), baseline),
        *(_luck(best, baseline) if baseline is not None else ()),
        *(_answers(best, baseline) if baseline is not None else ()),
        *_shortfalls(result),
        *_failures(result),
    )


def _one_weight(best: Contender, uniform: Contender | None, rival: Contender | None) -> Iterator[str]:
    if uniform is None:
        return
    one = weight(uniform_value(uniform))
    if same_weights(best, uniform):
        yield f"The {best.short} is a single weight for everything, {one}."
    elif uniform is not rival and uniform.gain is not None and uniform.gain.low <= 0:
        yield (
            f"A single weight for everything, {one}, may do as well: "
            f"the {best.short} is {gain(uniform.gain)} against it on held-out questions."
        )


def _luck(best: Contender, baseline: Contender) -> Iterator[str]:
    lead = best.search.mean - baseline.search.mean
    if math.isnan(baseline.search.se):  # it was stopped early, or has a single rating
        return
    if baseline.gain is not None and not math.isnan(lead) and lead > baseline.gain.high:
        yield (
            f"On the questions of the search the {best.short} led {named(baseline)} by {signed(lead)}, "
            f"more than held-out questions confirm ({gain(baseline.gain)}): part of that lead was luck in "
            "choosing."
        )


def _answers(best: Contender, baseline: Contender) -> Iterator[str]:
    ours, theirs = answer_stats(best.samples), answer_stats(baseline.samples)
    if ours is None or theirs is None:
        return
    who, label = f"the {best.short}", named(baseline)
    yield from _cut_off(ours, theirs, who, label)
    yield from _cut_in_thought(ours, theirs, who, label)
    yield from _length(ours, theirs, who, label)
    if ours.japanese is not None and theirs.japanese is not None and theirs.japanese - ours.japanese > _SHARE:
        yield (
            f"{who.capitalize()} answers less in Japanese: {percent(ours.japanese)} of its letters, "
            f"{percent(theirs.japanese)} of those of {label}."
        )
    if ours.unrated or theirs.unrated:
        yield (
            f"The judge gave no rating for {count(ours.unrated, 'answer')} of {who} "
            f"and {theirs.unrated} of {label}; they are excluded from all means."
        )


def _cut_off(ours: AnswerStats, theirs: AnswerStats, who: str, label: str) -> Iterator[str]:
    if abs(ours.cut_off - theirs.cut_off) > _SHARE:
        yield (
            f"The token limit cut off {percent(ours.cut_off)} of {who}'s answers and "
            f"{percent(theirs.cut_off)} of those of {label}: try a larger --max-new-tokens "
            "before trusting the difference."
        )


def _cut_in_thought(ours: AnswerStats, theirs: AnswerStats, who: str, label: str) -> Iterator[str]:
    if ours.cut_in_thought or theirs.cut_in_thought:
        yield (
            f"{percent(ours.cut_in_thought)} of {who}'s answers and {percent(theirs.cut_in_thought)} of "
            f"those of {label} were cut in thought and count as empty: try a larger --max-new-tokens, or "
            "another --max-thinking-tokens, before trusting the difference."
        )


def _length(ours: AnswerStats, theirs: AnswerStats, who: str, label: str) -> Iterator[str]:
    if not theirs.length or not ours.length:
        return
    ratio = ours.length / theirs.length
    if not 1 / _LENGTH_RATIO < ratio < _LENGTH_RATIO:
        yield (
            f"{who.capitalize()}'s answers are {ratio:.1f} times as long as those of {label}; "
            "judges tend to favour length."
        )


def _shortfalls(result: RunRecord) -> Iterator[str]:
    for contender in result.contenders:
        if contender.shortfall:
            yield (
                f"{contender.label[0].upper()}{contender.label[1:]} is not compared on held-out "
                f"questions: {contender.shortfall}."
            )


def _failures(result: RunRecord) -> Iterator[str]:
    failed = [trial for trial in result.trials if trial.state == "FAIL"]
    if failed:
        yield f"{len(failed)} of {count(len(result.trials), 'trial')} failed and had no part in the search."
        yield from (f"Trial {t.number}: {t.attrs['failure']}." for t in failed[:1] if "failure" in t.attrs)
