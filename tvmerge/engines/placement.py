"""The engines of a run, their devices and how each is started; `place` finds them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvmerge.engines.kinds import ENGINES
from tvmerge.engines.open import EngineSettings, engine_of, process_engines
from tvmerge.engines.own import OwnEngines
from tvmerge.engines.prompting.context_length import rated_context

if TYPE_CHECKING:
    from tvmerge.engines.model_settings import ModelConfig
    from tvmerge.engines.pool import EngineFactory
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.merging.open import Merge
    from tvmerge.merging.settings import MergeConfig
    from tvmerge.protocols import Engine


@dataclass(frozen=True, slots=True)
class Placement:
    """The engines of a run and their devices.

    Attributes:
        kind: One of `ENGINES`, or a name for the caller's own engines.
        devices: The devices of each engine.
        config: The settings it was made from.
        own: Engines passed by the caller; None if tvmerge's are used.
        adapters: Number of candidates that share each engine's model as adapters; 0 if each is merged.
    """

    kind: str
    devices: tuple[tuple[str, ...], ...]
    config: ModelConfig
    own: OwnEngines | None = None
    adapters: int = 0

    @property
    def on_cpu(self) -> bool:
        """Whether no GPU is involved."""
        return self.devices[0] == ("cpu",)

    @property
    def identity(self) -> dict[str, str]:
        """What decides an answer about the engines, by a readable name."""
        # Each kind of engine draws sampled answers differently.
        if self.own is not None:
            return {"engine": self.kind}
        found = {"engine": self.kind, **ENGINES.identity(self.kind, "engine_package")}
        if options := ENGINES.load(self.kind).decisive(self.options):
            found[ENGINES.load(self.kind).table] = json.dumps(options, sort_keys=True)
        # What is added as a model computes is rounded in another way than a merged model.
        return {**found, "candidates": "adapters"} if self.adapters else found

    @property
    def merged(self) -> Placement:
        """The same engines with each candidate merged."""
        return replace(self, adapters=0)

    @property
    def options(self) -> Mapping[str, Any]:
        """The engine's options that the user set."""
        return options_of(self.config, self.kind)

    def engine_factories(
        self,
        models: Merge,
        merge: MergeConfig,
        record: ChatRecord,
        memory_estimates: Sequence[MemoryEstimate] = (),
    ) -> dict[str, EngineFactory]:
        """Return how to start each engine: one in this process, several in separate ones, or on a cluster.

        Args:
            models: The opened models.
            merge: The settings that open the same models anywhere; see `tvmerge.merging.build.resolved`.
            record: How chats are written and end.
            memory_estimates: What the run puts on each device; checked before the first engine is started.
        """
        if self.own is not None:
            return self.own.engine_factories(models.merger, self.config.engines)
        rooms = [estimate.source_room for estimate in memory_estimates if estimate.device != "cpu"]
        settings = self.engine_settings(models, merge, record)
        settings = replace(settings, source_room=min(rooms, default=None))
        if self.config.pool == "ray":
            from tvmerge.engines.remote.ray import ray_engines

            gpus = 0 if self.on_cpu else self.config.tensor_parallel
            return ray_engines(
                settings.entry(), engines=self.config.engines, address=self.config.ray_address, gpus=gpus
            )
        takes_all = ENGINES.load(self.kind).takes_visible_gpus and not self.on_cpu
        if len(self.devices) > 1 or takes_all or self.adapters:
            found = process_engines(settings, self.devices)
        else:
            found = {self.devices[0][0]: _here(models, settings)}
        return {name: _checked(start, memory_estimates) for name, start in found.items()}

    def engine_settings(self, models: Merge, merge: MergeConfig, record: ChatRecord) -> EngineSettings:
        """Return the settings that every engine of the run is opened with; see `engine_factories`."""
        width = self.config.tensor_parallel
        parallel = {} if width == 1 else {"tensor_parallel_size": width}
        device = self.devices[0][0]
        return EngineSettings(
            merge=merge,
            stop_tokens=record.stops.ids,
            engine=self.kind,
            device="cuda:0" if self.config.pool == "ray" and not self.on_cpu else device,
            dtype=self.compute_dtype(models),
            batch_tokens=self.config.batch_tokens,
            cudnn_attention=self.config.cudnn_attention,
            chat_template=self.config.chat_template,
            chat_template_kwargs=dict(record.arguments),
            day=None if record.day is None else record.day.isoformat(),
            options={**self.options, **parallel},
            fingerprint=models.fingerprint,
            adapters=self.adapters,
        )

    def check_models(self, models: Merge) -> None:
        """Check that the engines can take on what candidates are, before anything is loaded.

        Raises:
            ConfigError: Candidates are adapters, and the models do not allow it.
        """
        if self.adapters:
            dtype = None if self.on_cpu else self.compute_dtype(models)
            ENGINES.load(self.kind).check_adapters(models, dtype)

    def reference(self, models: Merge, merge: MergeConfig, record: ChatRecord) -> EngineFactory:
        """Return what starts a transformers engine on the CPU, in the dtype that the engines compute in."""
        settings = self.engine_settings(models, merge, record)
        return _here(models, replace(settings, engine="transformers", device="cpu", options={}, adapters=0))

    def compute_dtype(self, models: Merge) -> str:
        """Return the dtype of computation; on a CPU float32, which is faster there and exact."""
        if self.on_cpu:
            return "float32"
        if self.config.dtype != "auto":
            return self.config.dtype
        from tvmerge.merging.dtypes import FLOATS, torch_name

        return next(torch_name(spec.dtype) for spec in models.merger.specs.values() if spec.dtype in FLOATS)

    def memory_estimates(self, models: Merge, judges: Mapping[str, int]) -> list[MemoryEstimate]:
        """Return what the run is about to put on each device of this machine.

        Args:
            models: The opened models.
            judges: Bytes that local judges need, by device.
        """
        if self.config.pool == "ray" or self.own is not None:
            return []
        import torch

        from tvmerge.engines.transformers.memory import MemoryEstimate, free_memory, memory_needs

        trust = self.config.trust_remote_code
        model = _model_config(models, trust_remote_code=trust)
        dtype = getattr(torch, self.compute_dtype(models))
        needed = memory_needs(model, dtype, trust_remote_code=trust).shared(self.config.tensor_parallel)
        engines = Counter(device for group in self.devices for device in group)
        sources = _source_bytes(models) if self.kind == "transformers" else 0
        return [
            MemoryEstimate(
                models.target.name,
                dtype,
                device,
                free,
                needed,
                engines=count,
                judge=judges.get(device, 0),
                batch_tokens=self.config.batch_tokens,
                sources=0 if device == "cpu" else sources,
            )
            for device, count in engines.items()
            if (free := free_memory(device)) is not None
        ]

    def batch_size(self, tokens: int) -> int | None:
        """Return how many answers to a candidate an engine generates at once; None if that is not known.

        Candidates that share a model share its batch.

        Args:
            tokens: Number of tokens of a question with its answer.
        """
        if self.own is not None:
            return None
        found = ENGINES.load(self.kind).batch_size(tokens, self.config.batch_tokens, self.options)
        return max(1, found // self.adapters) if found and self.adapters else found

    def rated_context(self, models: Merge) -> int | None:
        """Return the maximum number of tokens an engine reads to rate a likelihood; None without a limit."""
        # Engines passed by the caller are assumed to read as many tokens as the model can, as transformers'
        # do.
        return rated_context(
            self.kind if self.own is None else "transformers",
            self.options,
            models.target.folder,
            trust_remote_code=self.config.trust_remote_code,
        )


def options_of(config: ModelConfig, kind: str) -> Mapping[str, Any]:
    """Return the options that the user set for a kind of engine."""
    table = ENGINES.load(kind).table
    return getattr(config, table) or {} if table else {}


def _model_config(models: Merge, *, trust_remote_code: bool) -> Any:
    """Return the configuration of the merged model, as transformers reads it."""
    if models.config is None:
        from tvmerge.engines.transformers.config import read_config

        return read_config(models.target.folder, trust_remote_code=trust_remote_code)
    from transformers import AutoConfig

    return AutoConfig.for_model(**models.config)


def _source_bytes(models: Merge) -> int:
    """Bytes of everything that a merge reads."""
    from tvmerge.merging.device.sources import source_sizes

    return sum(source_sizes(models.merger.plan.rows).values())


def _here(models: Merge, settings: EngineSettings) -> EngineFactory:
    async def start() -> Engine:
        return await asyncio.to_thread(engine_of, models, settings)

    return start


def _checked(start: EngineFactory, found: Sequence[MemoryEstimate]) -> EngineFactory:
    """Check that everything fits into memory before anything is loaded."""

    # Checked at the first start, since a run whose answers are all stored loads nothing.
    async def checked() -> Engine:
        for load in found:
            load.check()
        return await start()

    return checked
