"""How many questions a candidate answers at a time, from what candidates and answers cost.

An ask costs a fixed part c0 (the merge, the latency of a batch, the search itself) and a part c1 for each of
its questions. To learn most about candidates from a given sum, each is asked

    b = sqrt(v * c0 / c1)

questions, where v is the variance of a candidate's ratings over that between candidates (Cochran, Sampling
Techniques, 1977, section 10.6: the optimum number of subunits in a sampled unit).

The choice is made after the first asks, whose time was measured, and is stored with the study. Asks of one
size do not show how their time divides into the two parts. If that matters, the next few have another size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SIZES = (4, 8, 16, 32, 64, 128, 256)
"""The sizes that are chosen from. Fewer than four questions are not cheaper: candidates compare worse."""

ASSUMED = SIZES[0]
"""The size while nothing is known, and with judges that cost money in most cases."""

PROBE = SIZES[2]
"""The size of the asks that show what a further question takes."""

SHORT = 2.0
"""Seconds of an ask below which its time does not matter: hundreds of candidates take minutes.

So tables of small models with a free judge do not depend on how fast a machine is.
"""

PROBES = 6
"""How many asks of a size are measured."""

_MEASURING = "their time is measured"

ASK_TIMES = "tvmerge:ask_times"
"""Study attribute: what asks took, as rows (questions, seconds of all that were measured, merges in them).

So a run that is resumed before the choice knows what the one before has measured.
"""

BLOCK_SIZES = "tvmerge:block_sizes"
"""Study attribute: how many questions a candidate answers at a time, from which ask on, and why."""


@dataclass(frozen=True, slots=True)
class BlockSize:
    """A size and why it was chosen.

    Attributes:
        start: Number of the first ask that has it.
        size: Questions that a candidate answers at a time.
        final: Whether it stays; otherwise it is measured, and another is chosen then.
        why: The reason, as the rest of a sentence.
        seconds: The time of an ask by its number of questions, as far as it was measured then.
    """

    start: int
    size: int
    final: bool
    why: str
    seconds: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> BlockSize:
        """Return what `as_json` made a row of."""
        return cls(row["start"], row["size"], row["final"], row["why"], dict(row["seconds"]))

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is stored."""
        return asdict(self) | {"seconds": [[size, round(t, 6)] for size, t in self.seconds.items()]}

    def __str__(self) -> str:
        return f"a candidate answers {self.size} questions at a time: {self.why}"


@dataclass(frozen=True)
class Costs:
    """What was measured and assumed.

    Attributes:
        usd: What judging an answer costs; 0 if it is free, None if that is unknown.
        seconds: The time of an ask by its number of questions, in seconds of the whole run.
        usd_per_hour: The price of the run's devices.
        priced: Whether the judges have prices, so that `usd` becomes known if it is not.
    """

    usd: float | None
    seconds: Mapping[int, float]
    usd_per_hour: float
    priced: bool = True

    def of_time(self, seconds: float) -> float:
        """Return what the devices cost in so many seconds."""
        return seconds * self.usd_per_hour / 3600


def choose_size(
    costs: Costs, variance_ratio: float, most: int, made: Sequence[BlockSize], start: int
) -> BlockSize:
    """Choose the size of the asks from `start` on.

    Args:
        costs: What was measured and assumed.
        variance_ratio: The variance of a candidate's ratings over that between candidates.
        most: The largest size that is sensible: what fits into a batch, or all questions.
        made: The sizes chosen before, none of which is final.
        start: Number of the next ask.
    """
    usd, seconds = costs.usd, costs.seconds
    if usd is None or (usd > 0 and not seconds):
        final = not costs.priced or most < SIZES[1] or len(made) > 1
        return BlockSize(start, ASSUMED, final, _why_unmeasured(costs) if final else _MEASURING)
    if not usd and 0 < max(seconds.values(), default=0.0) < SHORT:
        why = f"{_judging(0)}, and a candidate takes less than {SHORT:g} s"
        return BlockSize(start, ASSUMED, True, why)
    if len(seconds) > 1:
        return _measured(costs, variance_ratio, most, start)
    largest = _rounded(_most_useful(costs, variance_ratio), most)
    # The size that is assumed comes first: where answers are stored already, they mostly have that one.
    probe = next((size for size in (ASSUMED, min(PROBE, largest)) if size not in seconds), None)
    if largest > ASSUMED and probe is not None and len(made) < 2:
        return BlockSize(start, probe, False, _MEASURING)
    return BlockSize(start, ASSUMED, True, _why_assumed(costs, most))


def _measured(costs: Costs, variance_ratio: float, most: int, start: int) -> BlockSize:
    """The optimum, with a line through the times of the smallest and the largest asks."""
    assert costs.usd is not None
    few, many = min(costs.seconds), max(costs.seconds)
    each = max(0.0, (costs.seconds[many] - costs.seconds[few]) / (many - few))
    fixed = max(0.0, costs.seconds[few] - few * each)
    size = _rounded(_optimum(variance_ratio, costs.of_time(fixed), costs.of_time(each) + costs.usd), most)
    why = f"{_judging(costs.usd)}, and a candidate takes {fixed:.2g} s and {each:.2g} s for each answer"
    if costs.usd > 0:
        why += f", of devices at {costs.usd_per_hour:g} USD an hour"
    return BlockSize(start, size, True, why)


def _most_useful(costs: Costs, variance_ratio: float) -> float:
    """The optimum if answers took no time by themselves."""
    longest = max(costs.seconds.values(), default=0.0)
    if not costs.usd:
        return math.inf
    return _optimum(variance_ratio, costs.of_time(longest), costs.usd)


def _optimum(variance_ratio: float, fixed: float, each: float) -> float:
    return math.sqrt(variance_ratio * fixed / each) if each > 0 else math.inf


def _rounded(size: float, most: int) -> int:
    """The nearest of `SIZES` on a logarithmic scale, if `most` is not smaller."""
    allowed = [one for one in SIZES if one <= most] or [ASSUMED]
    return min(allowed, key=lambda one: abs(math.log(min(max(size, 1.0), SIZES[-1]) / one)))


def _why_assumed(costs: Costs, most: int) -> str:
    assert costs.usd is not None
    if most < SIZES[1]:
        return f"{_judging(costs.usd)}, and there are no more questions, or no more fit into a batch"
    if not costs.seconds:
        return f"{_judging(costs.usd)}, but no time was measured, so this was assumed"
    longest = max(costs.seconds.values())
    if costs.usd > 0:
        return (
            f"{_judging(costs.usd)}, and a candidate takes {longest:.2g} s, which cost "
            f"{costs.of_time(longest):.2g} USD at {costs.usd_per_hour:g} USD an hour"
        )
    return f"{_judging(costs.usd)}, but the time of an answer by itself was not measured"


def _why_unmeasured(costs: Costs) -> str:
    if costs.usd is None:
        return "what judging costs was not measured" if costs.priced else "what judging costs is not known"
    return f"{_judging(costs.usd)}, and no time was measured"


def _judging(usd: float) -> str:
    return f"judging an answer costs {usd:.2g} USD" if usd > 0 else "judging costs nothing"


def sizes_of(attrs: Mapping[str, Any]) -> list[BlockSize]:
    """Return the sizes in the attributes of a study; none before the first was chosen."""
    return [BlockSize.of_json(row) for row in attrs.get(BLOCK_SIZES, ())]
