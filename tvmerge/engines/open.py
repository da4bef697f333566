"""Opens an engine in this process, another process, vLLM's workers or on a cluster node.

Only plain data is sent; each process opens the sources itself. The sources' fingerprint is sent along and
compared, since another node may have different files under the same path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.caches import Caches
from tvmerge.engines.kinds import ENGINES
from tvmerge.engines.remote.entry import Entry
from tvmerge.errors import CheckpointError
from tvmerge.merging.build import open_models
from tvmerge.merging.kernels.stream import Offer, Pairs, TensorStream
from tvmerge.merging.settings import MergeConfig
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.engines.pool import EngineFactory
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.merging.open import Merge
    from tvmerge.protocols import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything needed to open an engine, as plain data.

    Attributes:
        merge: The sources and how they are merged; folders are absolute paths.
        adapters: Number of candidates that share a model as adapters; 0 for one that is merged.
        stop_tokens: Ids of the tokens that end an answer.
        engine: One of `ENGINES`.
        device: The model's device; vLLM uses the devices visible to its process.
        dtype: The dtype of computation: `float32`, `bfloat16` or `float16`.
        batch_tokens: Token budget of a batch of the transformers engine.
        source_room: Bytes of a GPU's memory that each engine may keep sources in; None leaves a quarter free.
        cudnn_attention: Whether cuDNN may compute attention for the transformers engine.
        chat_template: A file with a chat template to use instead of the target's.
        chat_template_kwargs: Variables for the chat template.
        day: The date that prompts contain, in ISO 8601; None for today.
        options: The engine's options; for vLLM, further arguments of its `AsyncEngineArgs`.
        fingerprint: The sources' fingerprint on the machine that started the run; not compared if empty.
    """

    merge: MergeConfig
    stop_tokens: Sequence[int]
    engine: str = "transformers"
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 16384
    source_room: int | None = None
    cudnn_attention: bool = False
    chat_template: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    day: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    adapters: int = 0

    def entry(self) -> Entry:
        """Return the call that opens the engine, or all that share a model, in any process."""
        function = "open_adapter_engines" if self.adapters else "open_engine"
        return Entry(f"tvmerge.engines.open:{function}", asdict(self))


def process_engines(settings: EngineSettings, places: Sequence[Sequence[str]]) -> dict[str, EngineFactory]:
    """Return how to start an engine on each place, in a separate process, for an `EnginePool`.

    Args:
        settings: The engine; its device is replaced.
        places: The devices of each engine, such as `cpu` or `cuda:0`; a place given twice gets two engines.

    Engines of adapters share a process on each place.
    """
    from tvmerge.engines.remote.process import ProcessEngine, SharedProcess

    engine_factories: dict[str, EngineFactory] = {}
    for number, place in enumerate(places):
        name = "+".join(place)
        if places.count(place) > 1:
            name += f" ({number + 1})"
        # In a process that sees only its own GPUs, the first is cuda:0, and the engine uses those it sees.
        local, environment = ("cpu", {}) if "cpu" in place else ("cuda:0", visible(place))
        entry = replace(settings, device=local).entry()
        if not settings.adapters:
            engine_factories[name] = partial(ProcessEngine.start, entry, environment)
            continue
        shared = SharedProcess(entry, environment)
        for candidate in range(settings.adapters):
            engine_factories[f"{name}, adapter {candidate + 1}"] = partial(shared.engine, candidate)
    return engine_factories


def visible(place: Sequence[str]) -> dict[str, str]:
    """Return the environment of a process that sees only these GPUs, numbered as in this process."""
    seen = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    numbers = [device.partition(":")[2] for device in place]
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen[int(n)] if seen else n for n in numbers)}


def open_engine(merge: Mapping[str, Any], **settings: Any) -> Engine:
    """Open the engine that `EngineSettings` describe, given field by field.

    Raises:
        UserError: The sources, the device or vLLM are not usable on this machine.
    """
    wanted = EngineSettings(merge=MergeConfig(**merge), **settings)
    return engine_of(_open(wanted), wanted)


def open_adapter_engines(merge: Mapping[str, Any], **settings: Any) -> Sequence[Engine]:
    """Open the engines that `EngineSettings` describe, given field by field, which share a model.

    Raises:
        UserError: The sources, the device or vLLM are not usable on this machine.
    """
    wanted = EngineSettings(merge=MergeConfig(**merge), **settings)
    models, kind = _open(wanted), ENGINES.load(wanted.engine)
    assert kind.open_adapters is not None
    return kind.open_adapters(models, wanted, _chat_of(models, wanted))


def engine_of(models: Merge, wanted: EngineSettings) -> Engine:
    """Open the engine that `wanted` describes, for sources that are already open.

    Raises:
        UserError: The device or vLLM are not usable on this machine.
    """
    engine: Engine = ENGINES.load(wanted.engine).open(models, wanted, _chat_of(models, wanted))
    return engine


def _chat_of(models: Merge, wanted: EngineSettings) -> ChatFormat:
    from tvmerge.engines.prompting.chat_format import ChatFormat

    folder, trust = models.target.folder, wanted.merge.trust_remote_code
    return ChatFormat(
        folder,
        None if wanted.chat_template is None else Path(wanted.chat_template),
        arguments=wanted.chat_template_kwargs,
        day=None if wanted.day is None else date.fromisoformat(wanted.day),
        trust_remote_code=trust,
    )


def open_merger(merge: Mapping[str, Any], **settings: Any) -> MergerForVllm:
    """Open the merger of vLLM's workers.

    Raises:
        CheckpointError: The sources are not usable on this machine.
    """
    return MergerForVllm(_open(EngineSettings(merge=MergeConfig(**merge), **settings)))


class MergerForVllm:
    """Leaves out tensors that the live model does not have, since vLLM rejects unknown names."""

    def __init__(self, models: Merge) -> None:
        self._merger = models.merger
        self._extra = frozenset(models.merger.extra)
        self.specs = {name: spec for name, spec in models.merger.specs.items() if name not in self._extra}

    @property
    def remarks(self) -> Sequence[str]:
        """What was slower than it could be so far, and why, one line each."""
        return self._merger.remarks

    def release(self) -> None:
        """Free what is held on accelerators; a later merge restores it."""
        self._merger.release()

    def merge(self, recipe: Recipe) -> TensorStream:
        """Return the merged tensors of `recipe`; raise at once if it does not fit."""
        stream = self._merger.merge(recipe)
        return TensorStream(partial(self._known, stream))

    def _known(self, stream: TensorStream, offer: Offer) -> Pairs:
        # What is left out is made in memory of its own and forgotten.
        pairs = stream.into(lambda name, shape: None if name in self._extra else offer(name, shape))
        return ((name, tensor) for name, tensor in pairs if name not in self._extra)


def _open(wanted: EngineSettings) -> Merge:
    with closing(Caches()) as caches:
        # If the fingerprint matches, these are the run's files, which were already checked for NaN.
        models = open_models(wanted.merge, caches, verify=not wanted.fingerprint)
        differing = [
            name for name, value in wanted.fingerprint.items() if models.fingerprint.get(name) != value
        ]
    if differing:
        raise CheckpointError(
            f"{', '.join(differing)} of {models.target.name} differ on this node from the one that started "
            "the run; copy the same model files to every node"
        )
    return models
