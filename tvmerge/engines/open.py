"""Opens an engine anywhere: in this process, in another one, inside vLLM's workers, on a node of a cluster.

What travels is plain data; every place opens the sources itself. So a folder that differs there would answer
with another model: the fingerprint of the sources travels along and is compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.caches import Caches
from tvmerge.engines.kinds import ENGINES
from tvmerge.engines.remote.entry import Entry
from tvmerge.errors import CheckpointError
from tvmerge.merging.build import open_models
from tvmerge.merging.settings import MergeConfig
from tvmerge.records import Recipe

if TYPE_CHECKING:
    import torch

    from tvmerge.engines.pool import EngineFactory
    from tvmerge.merging.open import Merge
    from tvmerge.protocols import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything that opens an engine, as plain data.

    Attributes:
        merge: The sources and how they are merged; folders as absolute paths.
        stop_tokens: Numbers of the tokens that end an answer.
        engine: One of `ENGINES`.
        device: Where the model lives; vLLM takes the devices it sees.
        dtype: What it computes in: `float32`, `bfloat16` or `float16`.
        batch_tokens: Token budget of a batch of the transformers engine.
        cudnn_attention: Whether cuDNN may compute attention for the transformers engine.
        chat_template: File with a chat template to use instead of the target's own.
        chat_template_kwargs: Variables for the chat template.
        day: The date that prompts tell, as ISO 8601 writes it; None: today's.
        vllm: Further arguments of vLLM's `AsyncEngineArgs`.
        options: Options of an engine other than vLLM.
        fingerprint: The sources' fingerprint where the run was started; empty: not compared.
    """

    merge: MergeConfig
    stop_tokens: Sequence[int]
    engine: str = "transformers"
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 16384
    cudnn_attention: bool = False
    chat_template: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    day: str | None = None
    vllm: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)

    def entry(self) -> Entry:
        """The call that opens the engine, wherever it is made."""
        return Entry("tvmerge.engines.open:open_engine", asdict(self))


def process_engines(settings: EngineSettings, places: Sequence[Sequence[str]]) -> dict[str, EngineFactory]:
    """How to start an engine on each place, in a separate process, for an `EnginePool`.

    Args:
        settings: The engine; its device is replaced.
        places: The devices of each engine, `cpu` or `cuda:0`, ...; a place named twice gets two engines.
    """
    from tvmerge.engines.remote.process import ProcessEngine

    engine_factories: dict[str, EngineFactory] = {}
    for number, place in enumerate(places):
        name = "+".join(place)
        if places.count(place) > 1:
            name += f" ({number + 1})"
        # A process that sees its own GPUs only calls the first cuda:0, and its engine takes what it sees.
        local, environment = ("cpu", {}) if "cpu" in place else ("cuda:0", visible(place))
        entry = Entry("tvmerge.engines.open:open_engine", {**asdict(settings), "device": local})
        engine_factories[name] = partial(ProcessEngine.start, entry, environment)
    return engine_factories


def visible(place: Sequence[str]) -> dict[str, str]:
    """The environment of a process that sees these GPUs alone; numbers count what this process sees."""
    seen = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    numbers = [device.partition(":")[2] for device in place]
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen[int(n)] if seen else n for n in numbers)}


def open_engine(merge: Mapping[str, Any], **settings: Any) -> Engine:
    """The engine that `EngineSettings` describe, given field by field.

    Raises:
        UserError: The sources, the device or vLLM are not usable here.
    """
    wanted = EngineSettings(merge=MergeConfig(**merge), **settings)
    return engine_of(_open(wanted), wanted)


def engine_of(models: Merge, wanted: EngineSettings) -> Engine:
    """The engine that `wanted` describes, for sources that are open already.

    Raises:
        UserError: The device or vLLM are not usable here.
    """
    from tvmerge.engines.prompting.chat_format import ChatFormat

    folder, trust = models.target.folder, wanted.merge.trust_remote_code
    chat = ChatFormat(
        folder,
        None if wanted.chat_template is None else Path(wanted.chat_template),
        arguments=wanted.chat_template_kwargs,
        day=None if wanted.day is None else date.fromisoformat(wanted.day),
        trust_remote_code=trust,
    )
    engine: Engine = ENGINES.load(wanted.engine).open(models, wanted, chat)
    return engine


def open_merger(merge: Mapping[str, Any], **settings: Any) -> MergerForVllm:
    """What vLLM's workers merge with.

    Raises:
        CheckpointError: The sources are not usable here.
    """
    return MergerForVllm(_open(EngineSettings(merge=MergeConfig(**merge), **settings)))


class MergerForVllm:
    """Leaves out what the live model has no place for; vLLM refuses a name it does not know."""

    def __init__(self, models: Merge) -> None:
        self._merger = models.merger
        self._extra = frozenset(models.merger.extra)

    def merge(self, recipe: Recipe) -> Iterator[tuple[str, torch.Tensor]]:
        """The merged tensors of `recipe`; a recipe that does not fit is refused before the first."""
        stream = self._merger.merge(recipe)
        return ((name, tensor) for name, tensor in stream if name not in self._extra)


def _open(wanted: EngineSettings) -> Merge:
    with closing(Caches()) as caches:
        # Where the fingerprint says that these are the run's own files, they were read for NaN already.
        models = open_models(wanted.merge, caches, verify=not wanted.fingerprint)
        differing = [
            name for name, value in wanted.fingerprint.items() if models.fingerprint.get(name) != value
        ]
    if differing:
        raise CheckpointError(
            f"{', '.join(differing)} of {models.target.name} differ here from where the run was started; "
            "bring the same model files to every node"
        )
    return models
