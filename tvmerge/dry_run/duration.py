"""How long a run is likely to take: on its devices, and because of the quotas of its judges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tvmerge.dry_run.calls import PlannedCalls
from tvmerge.merging.device.residency import DEVICE_SPEED, HOST_SPEED
from tvmerge.report.numbers import count, duration
from tvmerge.study.blocks.sizes import final_size

if TYPE_CHECKING:
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.judging.settings import JudgeConfig
    from tvmerge.judging.spec import JudgeSpec
    from tvmerge.run.spec import RunSpec


def device_time(
    run_spec: RunSpec, memory: Sequence[MemoryEstimate], answers: int, tokens: int, at_once: int
) -> str:
    """Return how long answers are likely to take, as a line; empty if nothing is known.

    Without measurements of this study, a step of generation reads all weights once, at the speed of memory
    that the estimate of a merge assumes. This leaves out the prompts, the cache and the time of the program.

    Args:
        run_spec: The run.
        memory: What the run puts on each device.
        answers: Number of answers to generate.
        tokens: Tokens of an answer, with all turns.
        at_once: Number of answers that an engine generates at once.
    """
    if not answers:
        return ""
    stored = run_spec.known_study.stored
    size = None if stored is None else final_size(stored.attrs)
    if size is not None and (seconds := size.seconds.get(size.size)):
        return f"time: likely {duration(answers / size.size * seconds)}, at the speed measured in this study"
    if not memory:
        return ""
    engines = sum(load.engines for load in memory) / run_spec.config.tensor_parallel
    slowest = max(load.needed.weights / speed_of(load) for load in memory)
    likely = answers * tokens * slowest / at_once / engines
    where = ", ".join(load.device for load in memory)
    return (
        f"time: likely more than {duration(likely)} of generation on {where} (an estimate: {tokens:,} tokens "
        f"an answer, {count(at_once, 'answer')} at once, weights read at "
        f"{speed_of(memory[0]) / 1e9:,.0f} GB/s); the run measures it"
    )


def quota_lines(
    specs: Sequence[JudgeSpec], calls: Sequence[PlannedCalls], config: JudgeConfig
) -> Iterator[str]:
    """Yield how long each judge's quotas make a run last, one line each.

    Args:
        specs: The judges.
        calls: Their calls.
        config: The settings, whose quotas replace those of the judges' files.
    """
    for spec in specs:
        number = sum(row.likely.calls for row in calls if row.judge == spec.name)
        per_day, per_minute = config.judge_rpd or spec.rpd, config.judge_rpm or spec.rpm
        if per_day is not None and number > per_day:
            days = count(math.ceil(number / per_day), "day")
            yield (
                f"quota: {spec.name} likely takes {days} at {per_day:,} requests a day; --wait-for-quota "
                "waits for the next day, otherwise start the same command again then"
            )
        elif per_minute is not None and number > per_minute:
            likely = duration(60 * number / per_minute)
            yield f"quota: {spec.name} likely takes {likely} at {per_minute:,} requests a minute"


def speed_of(load: MemoryEstimate) -> float:
    """Return the bytes per second at which weights are read."""
    return HOST_SPEED if load.device == "cpu" else DEVICE_SPEED
