"""Opens the pool of a run: its engines, in front of which stored answers are looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.devices import device_remarks
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.vllm.options import decisive
from tvmerge.engines.vllm.reload_check import ReloadCheckedPool

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

    Raises:
        ConfigError: A GPU cannot compute in the dtype.
    """
    for remark in _remarks(placement, models):
        note(remark)
    estimates = placement.memory_estimates(models, judges=judges)
    for estimate in estimates:
        note(str(estimate))
    factories = placement.engine_factories(models, merge, record, estimates)
    pool: Pool = EnginePool(factories, trace=trace, note=note)
    if placement.kind == "vllm" and on_compared is not None:
        if others := [name for name in decisive(placement.options) if name != "max_model_len"]:
            note(f"vLLM is not compared with transformers, which does not know {', '.join(others)} of [vllm]")
        else:
            pool = ReloadCheckedPool(
                pool,
                placement.reference(models, merge, record),
                chat,
                partial(placement.rated_context, models),
                placement.compute_dtype(models),
                note=note,
                passed=on_compared,
            )
    return CachedPool(pool, answers, identity)


def _remarks(placement: Placement, models: Merge) -> list[str]:
    """Return what is slower on this machine's devices than it could be; refuse a dtype they do not have."""
    config = placement.config
    if config.pool == "ray" or placement.own is not None:
        return []
    devices = [device for group in placement.devices for device in group]
    dtype = placement.compute_dtype(models)
    return device_remarks(dtype, devices, asked=config.device, emulates=placement.kind != "vllm")
