"""The transformers engine, in this process or a separate one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tvmerge.engines.kinds import EngineKind, Options

if TYPE_CHECKING:
    from tvmerge.engines.open import EngineSettings
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.transformers.engine import TransformersEngine
    from tvmerge.merging.merge import Merge


def _open(models: Merge, wanted: EngineSettings, chat: ChatFormat) -> TransformersEngine:
    import torch
    from transformers import AutoConfig

    from tvmerge.engines.devices import resolve_device
    from tvmerge.engines.transformers.engine import TransformersEngine
    from tvmerge.merging.live import load_into, new_model

    device, dtype = resolve_device(wanted.device), getattr(torch, wanted.dtype)
    config = models.config
    models.merger.source_room = wanted.source_room
    return TransformersEngine(
        models.target.folder,
        chat,
        models.merger,
        partial(load_into, ignore=frozenset(models.merger.extra)),
        stop_tokens=wanted.stop_tokens,
        device=device,
        dtype=dtype,
        batch_tokens=wanted.batch_tokens,
        cudnn_attention=wanted.cudnn_attention,
        trust_remote_code=wanted.merge.trust_remote_code,
        new_model=None if config is None else partial(new_model, config, dtype=dtype, device=device),
        config=None if config is None else AutoConfig.for_model(**config),
    )


def _batch_size(tokens: int, batch_tokens: int, _: Options) -> int:
    return max(1, batch_tokens // tokens)


ENGINE = EngineKind(table="", open=_open, batch_size=_batch_size)
