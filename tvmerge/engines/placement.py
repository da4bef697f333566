"""The engines of a run, their devices and how each is started."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvmerge.engines.devices import resolve_device
from tvmerge.engines.kinds import ENGINES, TABLES, EngineKind
from tvmerge.engines.open import EngineSettings, engine_of, process_engines
from tvmerge.engines.own import OwnEngines
from tvmerge.engines.prompting.context_length import rated_context
from tvmerge.engines.vllm.version import is_usable
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from tvmerge.engines.model_settings import ModelConfig
    from tvmerge.engines.pool import EngineFactory
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.merging.open import Merge
    from tvmerge.merging.settings import MergeConfig
    from tvmerge.protocols import Engine


AUTOMATIC = ("vllm", "transformers")
"""What `--engine auto` chooses from."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The engines of a run and their devices.

    Attributes:
        kind: One of `ENGINES`, or a name for the caller's own engines.
        devices: The devices of each engine.
        config: The settings it was made from.
        own: Engines passed by the caller; None if tvmerge's are used.
    """

    kind: str
    devices: tuple[tuple[str, ...], ...]
    config: ModelConfig
    own: OwnEngines | None = None

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
        return found

    @property
    def options(self) -> Mapping[str, Any]:
        """The engine's options that the user set."""
        return _options(self.config, self.kind)

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
        if len(self.devices) > 1 or takes_all:
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
        )

    def reference(self, models: Merge, merge: MergeConfig, record: ChatRecord) -> EngineFactory:
        """Return what starts a transformers engine on the CPU, in the dtype that the engines compute in."""
        settings = self.engine_settings(models, merge, record)
        return _here(models, replace(settings, engine="transformers", device="cpu", options={}))

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
        """Return how many answers an engine generates at once; None if that is not known.

        Args:
            tokens: Number of tokens of a question with its answer.
        """
        if self.own is not None:
            return None
        return ENGINES.load(self.kind).batch_size(tokens, self.config.batch_tokens, self.options)

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


def place(config: ModelConfig, own: OwnEngines | None = None) -> Placement:
    """Return the engines that a run's settings describe, without opening a model.

    Args:
        config: The settings.
        own: Engines passed by the caller, instead of those in the settings.

    Raises:
        ConfigError: A device does not exist, vLLM is wanted but not usable, or settings contradict each
            other.
        MissingExtraError: vLLM is wanted but not installed.
    """
    if own is not None:
        own.check(config)
        return Placement(own.identity, (), config, own)
    devices = _devices(config)
    kind = _kind(config, devices)
    if config.tensor_parallel > 1 and not ENGINES.load(kind).tensor_parallel:
        takers = _named(lambda engine: engine.tensor_parallel)
        raise ConfigError(f"--tensor-parallel is for {takers}, and this run uses {kind}")
    _check_tables(config, kind)
    return Placement(kind, devices, config)


def _check_tables(config: ModelConfig, kind: str) -> None:
    """Check the options of engines; with `auto`, those of the engines that it did not choose too."""
    kinds = AUTOMATIC if config.engine == "auto" else (kind,)
    for name in kinds:
        ENGINES.load(name).check_options(_options(config, name))
    read = {ENGINES.load(name).table for name in kinds}
    if (table := next((t for t in TABLES if getattr(config, t) and t not in read), None)) is not None:
        takers = _named(lambda engine: engine.table == table)
        raise ConfigError(f"the table {table} is for {takers}, and this run uses {kind}")


def _options(config: ModelConfig, kind: str) -> Mapping[str, Any]:
    table = ENGINES.load(kind).table
    return getattr(config, table) or {} if table else {}


def _named(fits: Callable[[EngineKind], bool]) -> str:
    """Return the flags of the engines that fit."""
    names = (name for name in ENGINES.names() if fits(ENGINES.load(name)))
    return " or ".join(f"--engine {name}" for name in names) or "engines of installed packages"


def _model_config(models: Merge, *, trust_remote_code: bool) -> Any:
    """Return the configuration of the merged model, as transformers reads it."""
    if models.config is None:
        from tvmerge.engines.transformers.config import read_config

        return read_config(models.target.folder, trust_remote_code=trust_remote_code)
    from transformers import AutoConfig

    return AutoConfig.for_model(**models.config)


def _devices(config: ModelConfig) -> tuple[tuple[str, ...], ...]:
    """Return the devices of each engine, `tensor_parallel` consecutive ones for each."""
    width = config.tensor_parallel
    if width == 1 or resolve_device(config.device) == "cpu":
        names = config.devices or (config.device,) * config.engines
        return tuple((resolve_device(name),) for name in names)
    names = config.devices or tuple(f"cuda:{number}" for number in range(width * config.engines))
    if len(names) % width:
        raise ConfigError(f"{len(names)} devices cannot be divided among engines of {width} devices each")
    found = [resolve_device(name) for name in names]
    return tuple(tuple(found[start : start + width]) for start in range(0, len(found), width))


def _kind(config: ModelConfig, devices: Sequence[Sequence[str]]) -> str:
    if config.engine != "auto":
        if config.pool == "local":
            ENGINES.load(config.engine).check_installed()
        return config.engine
    on_gpus = all(device != "cpu" for group in devices for device in group)
    return "vllm" if on_gpus and len(config.target_model) == 1 and is_usable() else "transformers"


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
