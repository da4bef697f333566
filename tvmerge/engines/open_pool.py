"""Opens the pool of a run: its engines, in front of which stored answers are looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.devices import device_remarks
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.turns import TurnPool, Turns
from tvmerge.engines.vllm.options import decisive
from tvmerge.engines.vllm.reload_check import ReloadCheckedPool
from tvmerge.merging.dtypes import torch_name

if TYPE_CHECKING:
    from tvmerge._util.cache import ContentCache
    from tvmerge._util.trace import Trace
    from tvmerge.engines.placement import Placement
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.merging.merge import Merge
    from tvmerge.merging.settings import MergeConfig
    from tvmerge.protocols import Pool


def open_pool(
    placement: Placement,
    models: Merge,
    merge: MergeConfig,
    chat: ChatFormat,
    record: ChatRecord,
    *,
    on_compared: Callable[[float], None] | None,
    answers: ContentCache,
    identity: Mapping[str, str],
    judges: Mapping[str, int],
    trace: Trace,
    note: Callable[[str], None],
    turns: Turns | None = None,
    late: bool = False,
) -> Pool:
    """Open the pool; its engines are started on first use.

    Args:
        placement: The engines and their devices.
        models: The opened models.
        merge: The settings that open the same models anywhere; see `tvmerge.merging.build.resolved`.
        chat: The target's tokenizer and chat template.
        record: How chats are written and end.
        on_compared: Called with the difference when vLLM has been compared with transformers; None if an
            earlier run of the study has compared them.
        answers: The cache of answers.
        identity: Everything that decides an answer, except recipe, question and sampling.
        judges: Bytes that local judges need, by device.
        trace: Records where the time goes.
        note: Called with each remark for the user.
        turns: Takes turns with other pools on the same devices; None if there are none.
        late: Whether nothing is checked or said before its turn first comes.

    Raises:
        ConfigError: A GPU cannot compute in the dtype.
    """

    def live() -> Pool:
        return _live_pool(
            placement,
            models,
            merge,
            chat,
            record,
            on_compared=on_compared,
            judges=judges,
            trace=trace,
            note=note,
        )

    if turns is None:
        return CachedPool(live(), answers, identity)
    pool = None if late else live()
    return CachedPool(TurnPool(live if pool is None else lambda: pool, turns), answers, identity)


def _live_pool(
    placement: Placement,
    models: Merge,
    merge: MergeConfig,
    chat: ChatFormat,
    record: ChatRecord,
    *,
    on_compared: Callable[[float], None] | None,
    judges: Mapping[str, int],
    trace: Trace,
    note: Callable[[str], None],
) -> Pool:
    """Return the pool without stored answers; see `open_pool`."""
    for remark in _remarks(placement, models):
        note(remark)
    estimates = placement.memory_estimates(models, judges=judges)
    for estimate in estimates:
        note(str(estimate))
    factories = placement.engine_factories(models, merge, record, estimates)
    pool: Pool = EnginePool(factories, trace=trace, note=note)
    if placement.kind != "vllm" or on_compared is None:
        return pool
    if others := [name for name in decisive(placement.options) if name != "max_model_len"]:
        note(f"vLLM is not compared with transformers, which does not know {', '.join(others)} of [vllm]")
        return pool
    return ReloadCheckedPool(
        pool,
        placement.reference(models, merge, record),
        chat,
        partial(placement.rated_context, models),
        _least_exact(placement, models),
        note=note,
        passed=on_compared,
        adapters=placement.adapters > 0,
    )


def _least_exact(placement: Placement, models: Merge) -> str:
    """Return the dtype of computation, or that to which a merge rounds what an adapter does not."""
    merged = {torch_name(models.merger.specs[name].dtype) for name in models.merger.weighted}
    rounded = placement.adapters > 0 and merged != {"float32"}
    return "bfloat16" if rounded else placement.compute_dtype(models)


def _remarks(placement: Placement, models: Merge) -> list[str]:
    """Return what is slower on this machine's devices than it could be; refuse a dtype they do not have."""
    config = placement.config
    if config.pool == "ray" or placement.own is not None:
        return []
    devices = [device for group in placement.devices for device in group]
    dtype = placement.compute_dtype(models)
    return device_remarks(dtype, devices, asked=config.device, emulates=placement.kind != "vllm")
