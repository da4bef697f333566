"""The cost of a run in calls, money and disk space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.dry_run.calls import PlannedCalls, Spending, likely_of, most_of
from tvmerge.dry_run.stages import CHECK
from tvmerge.errors import CheckpointError
from tvmerge.judging.client.chat import Usage
from tvmerge.judging.client.pipeline import prices_of
from tvmerge.judging.client.request_counter import Calls
from tvmerge.judging.providers import PROVIDERS
from tvmerge.merging.export.writer import shard_sizes

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.dry_run.likely import Habits
    from tvmerge.dry_run.requests import RequestCount
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.judging.spec import JudgeSpec
    from tvmerge.merging.open import Merge


def planned_calls(
    specs: Sequence[JudgeSpec],
    most: Mapping[str, RequestCount],
    likely: Mapping[str, RequestCount],
    habits: Habits,
    *,
    batched: bool = False,
) -> tuple[PlannedCalls, ...]:
    """Return each judge's calls and their cost, by stage.

    Args:
        specs: The judges.
        most: The upper bound of what each stage needs.
        likely: What each stage is likely to need.
        habits: The lengths of likely requests.
        batched: Whether requests are sent in batches.
    """
    return tuple(
        PlannedCalls(
            spec.name,
            stage,
            most=_priced(spec, calls.calls, calls.input, calls.output, batched=batched and stage != CHECK),
            likely=_priced(
                spec,
                (expected := likely[stage].calls.get(spec.name, Calls())).calls,
                *habits.usage(spec.name, expected),
                batched=batched and stage != CHECK,
            ),
            dearest=_priced(
                spec, 1, calls.largest.input, calls.largest.output, batched=batched and stage != CHECK
            ).cost,
        )
        for spec in specs
        for stage, count in most.items()
        if (calls := count.calls.get(spec.name)) is not None
    )


def price_text(spec: JudgeSpec, *, batched: bool = False) -> str:
    """Return a judge's price as text."""
    if PROVIDERS.load(spec.provider).judge is not None:
        return "asks nobody"
    if spec.price_input is None or spec.price_output is None:
        if not spec.on_server:
            return "runs on this machine"
        return "its file has no price, so its cost is unknown"
    read = f", read on {spec.price_date}" if spec.price_date else ""
    share = f"; {spec.price_batch:.0%} of that in batches" if batched else ""
    return f"{spec.price_input:g} USD per million tokens in, {spec.price_output:g} out{read}{share}"


def written_sizes(models: Merge, config: RunConfig) -> list[int]:
    """Return the bytes of tensors in each file of the model, and of its experts if they are written."""
    size = int(config.shard_size * 10**9)
    mergers = [models.merger, *(expert.merger for expert in models.experts if config.save_experts)]
    return [found for merger in mergers for found in shard_sizes(merger.specs, size)]


def memory_errors(memory: Sequence[MemoryEstimate]) -> Iterator[str]:
    """Return why the models do not fit into memory, one line each."""
    for load in memory:
        try:
            load.check()
        except CheckpointError as error:
            yield str(error)


def warnings(config: RunConfig, calls: Sequence[PlannedCalls], needed: int, free: int) -> Iterator[str]:
    """Return what will stop the run before its end, one line each."""
    if needed > free:
        yield "the model does not fit on the disk; choose another --output-dir"
    usual, highest = likely_of(calls), most_of(calls)
    limits = (
        ("--max-judge-calls", config.max_judge_calls, usual.calls, highest.calls),
        ("--max-cost", config.max_cost, usual.cost or 0, highest.cost or 0),
    )
    for flag, limit, expected, bound in limits:
        if limit is not None and bound > limit:
            chance = "is likely to" if expected > limit else "may"
            yield f"{flag} {limit:.12g} {chance} be used up before the run ends"


def _priced(spec: JudgeSpec, calls: int, input_tokens: int, output_tokens: int, *, batched: bool) -> Spending:
    prices = prices_of(spec, batched=batched)
    cost = None if prices is None else prices.cost(Usage(input_tokens, output_tokens))
    return Spending(calls, input_tokens, output_tokens, cost)
