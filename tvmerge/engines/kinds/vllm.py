"""The vLLM engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.engines.kinds import EngineKind, Options
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.vllm.options import check_options, decisive
from tvmerge.engines.vllm.version import check_installed

if TYPE_CHECKING:
    from tvmerge.engines.open import EngineSettings
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.vllm.adapters import AdapterEngine
    from tvmerge.engines.vllm.engine import VllmEngine
    from tvmerge.merging.merge import Merge


def _open(models: Merge, wanted: EngineSettings, chat: ChatFormat) -> VllmEngine:
    from tvmerge.engines.vllm.engine import VllmEngine
    from tvmerge.merging.export.writer import write_skeleton

    skeleton = None
    if models.config is not None:
        specs = models.merger.specs
        skeleton = partial(write_skeleton, target=models.donor, specs=specs, config=models.config)
    return VllmEngine(
        models.target.folder,
        chat,
        Entry("tvmerge.engines.open:open_merger", asdict(wanted)),
        stop_tokens=wanted.stop_tokens,
        dtype=wanted.dtype,
        options=wanted.options,
        trust_remote_code=wanted.merge.trust_remote_code,
        skeleton=skeleton,
    )


def _open_adapters(models: Merge, wanted: EngineSettings, chat: ChatFormat) -> Sequence[AdapterEngine]:
    from tvmerge.engines.vllm.adapters import AdapterEngine, AdapterModel

    model = AdapterModel(
        models,
        wanted.adapters,
        dtype=wanted.dtype,
        options=wanted.options,
        trust_remote_code=wanted.merge.trust_remote_code,
    )
    return [AdapterEngine(model, chat, wanted.stop_tokens) for _ in range(wanted.adapters)]


def _check_adapters(models: Merge, dtype: str | None) -> None:
    from tvmerge.engines.vllm.adapters import check_adapters

    check_adapters(models, dtype)


def _context(context: int | None, options: Options) -> int | None:
    # vLLM also reads the text's last token, and always generates one more.
    whole = options.get("max_model_len") or context
    return None if whole is None else int(whole) - 2


def _batch_size(_tokens: int, _batch_tokens: int, options: Options) -> int:
    return int(options.get("max_num_seqs") or 256)  # the smallest of vLLM's defaults


ENGINE = EngineKind(
    table="vllm",
    open=_open,
    open_adapters=_open_adapters,
    check_adapters=_check_adapters,
    check_options=check_options,
    check_installed=check_installed,
    decisive=decisive,
    tensor_parallel=True,
    takes_visible_gpus=True,
    context=_context,
    batch_size=_batch_size,
)
