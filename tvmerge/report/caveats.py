"""Warnings about a gain: reasons not to trust it yet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tvmerge.report.answer_stats import AnswerStats, answer_stats
from tvmerge.report.conclusion import named, same_weights, strongest_rival, uniform_value
from tvmerge.report.language import tr
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
        yield tr("The {who} is a single weight for everything, {weight}.", who=best.short, weight=one)
    elif uniform is not rival and uniform.gain is not None and uniform.gain.low <= 0:
        yield tr(
            "A single weight for everything, {weight}, may do as well: the {who} is {gain} against it on "
            "held-out questions.",
            weight=one,
            who=best.short,
            gain=gain(uniform.gain),
        )


def _luck(best: Contender, baseline: Contender) -> Iterator[str]:
    lead = best.search.mean - baseline.search.mean
    if math.isnan(baseline.search.se):  # it was stopped early, or has a single rating
        return
    if baseline.gain is not None and not math.isnan(lead) and lead > baseline.gain.high:
        yield tr(
            "On the questions of the search the {who} led {other} by {lead}, more than held-out questions "
            "confirm ({gain}): part of that lead was luck in choosing.",
            who=best.short,
            other=named(baseline),
            lead=signed(lead),
            gain=gain(baseline.gain),
        )


def _answers(best: Contender, baseline: Contender) -> Iterator[str]:
    ours, theirs = answer_stats(best.samples), answer_stats(baseline.samples)
    if ours is None or theirs is None:
        return
    names = {"who": best.short, "other": named(baseline)}
    yield from _unfinished(ours, theirs, names)
    yield from _style(ours, theirs, names)
    if ours.unrated or theirs.unrated:
        yield tr(
            "The judge gave no rating for {ours} of the {who} and {theirs} of {other}; they are excluded "
            "from all means.",
            ours=count(ours.unrated, "answer"),
            theirs=theirs.unrated,
            **names,
        )


def _unfinished(ours: AnswerStats, theirs: AnswerStats, names: Mapping[str, str]) -> Iterator[str]:
    """Yield that a token limit ended answers of the winner and its rival, which may explain the gain."""
    if abs(ours.cut_off - theirs.cut_off) > _SHARE:
        yield tr(
            "The token limit cut off {ours} of the {who}'s answers and {theirs} of those of {other}: try a "
            "larger --max-new-tokens before trusting the difference.",
            ours=percent(ours.cut_off),
            theirs=percent(theirs.cut_off),
            **names,
        )
    if ours.cut_in_thought or theirs.cut_in_thought:
        yield tr(
            "{ours} of the {who}'s answers and {theirs} of those of {other} were cut in thought and count as "
            "empty: try a larger --max-new-tokens, or another --max-thinking-tokens, before trusting the "
            "difference.",
            ours=percent(ours.cut_in_thought),
            theirs=percent(theirs.cut_in_thought),
            **names,
        )


def _style(ours: AnswerStats, theirs: AnswerStats, names: Mapping[str, str]) -> Iterator[str]:
    """Yield how the answers of the winner and its rival differ, which a judge may have rated instead."""
    ratio = ours.length / theirs.length if theirs.length else 0.0
    if ratio and not 1 / _LENGTH_RATIO < ratio < _LENGTH_RATIO:
        yield tr(
            "The {who}'s answers are {ratio} times as long as those of {other}; judges tend to favour "
            "length.",
            ratio=f"{ratio:.1f}",
            **names,
        )
    if ours.japanese is not None and theirs.japanese is not None and theirs.japanese - ours.japanese > _SHARE:
        yield tr(
            "The {who} answers less in Japanese: {ours} of its letters, {theirs} of those of {other}.",
            ours=percent(ours.japanese),
            theirs=percent(theirs.japanese),
            **names,
        )


def _shortfalls(result: RunRecord) -> Iterator[str]:
    for contender in result.contenders:
        if contender.shortfall:
            yield tr(
                "{who} is not compared on held-out questions: {why}.",
                who=f"{contender.label[0].upper()}{contender.label[1:]}",
                why=contender.shortfall,
            )


def _failures(result: RunRecord) -> Iterator[str]:
    failed = [trial for trial in result.trials if trial.state == "FAIL"]
    if not failed:
        return
    yield tr(
        "{n} of {trials} failed and had no part in the search.",
        n=len(failed),
        trials=count(len(result.trials), "trial"),
    )
    first = failed[0]
    if "failure" in first.attrs:
        yield tr("Trial {n}: {why}.", n=first.number, why=first.attrs["failure"])
