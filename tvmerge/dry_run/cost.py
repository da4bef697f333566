"""The cost of a run in calls, money and disk space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.dry_run.text import PlannedCalls, total
from tvmerge.errors import CheckpointError
from tvmerge.judging.client.chat import Usage
from tvmerge.judging.client.pipeline import prices_of
from tvmerge.judging.client.request_counter import Calls
from tvmerge.judging.providers import PROVIDERS
from tvmerge.merging.export.writer import shard_sizes

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.dry_run.requests import CallsByJudge
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.judging.spec import JudgeSpec
    from tvmerge.merging.open import Merge


LIVE = "judge check"
"""The stage whose requests are never batched."""


def planned_calls(
    specs: Sequence[JudgeSpec], stages: Mapping[str, CallsByJudge], *, batched: bool = False
) -> tuple[PlannedCalls, ...]:
    """Return each judge's calls and their cost, by stage.

    Args:
        specs: The judges.
        stages: Their calls in each stage.
        batched: Whether requests are sent in batches.
    """
    return tuple(
        _priced(spec, stage, calls[spec.name], batched=batched and stage != LIVE)
        for spec in specs
        for stage, calls in stages.items()
        if spec.name in calls
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
    everything = total(calls)
    if config.max_judge_calls is not None and everything.calls > config.max_judge_calls:
        yield f"--max-judge-calls {config.max_judge_calls} may be used up before the run ends"
    if config.max_cost is not None and (everything.cost or 0) > config.max_cost:
        yield f"--max-cost {config.max_cost:g} may be used up before the run ends"


def _priced(spec: JudgeSpec, stage: str, calls: Calls, *, batched: bool) -> PlannedCalls:
    prices = prices_of(spec, batched=batched)
    return PlannedCalls(
        judge=spec.name,
        stage=stage,
        calls=calls.calls,
        input_tokens=calls.input,
        output_tokens=calls.output,
        cost=None if prices is None else prices.cost(Usage(calls.input, calls.output)),
    )
