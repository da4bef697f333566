"""Where the engines of a run live: of which kind, on which devices, and how each is started."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge.engines.devices import resolve_device
from tvmerge.engines.open import EngineSettings, engine_of, process_starts
from tvmerge.engines.vllm.options import check_options, decisive
from tvmerge.engines.vllm.version import check_installed, is_usable
from tvmerge.errors import ConfigError
from tvmerge.merging.build import resolved

if TYPE_CHECKING:
    from tvmerge.engines.model_settings import ModelConfig
    from tvmerge.engines.pool import Start
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.engines.transformers.memory import Load
    from tvmerge.merging.open import Merge
    from tvmerge.protocols import Engine


@dataclass(frozen=True, slots=True)
class Placement:
    """What answers a run's questions, and on what.

    Attributes:
        kind: `transformers` or `vllm`.
        devices: The devices of each engine.
    """

    kind: str
    devices: tuple[tuple[str, ...], ...]

    @property
    def on_cpu(self) -> bool:
        """Whether no GPU is involved."""
        return self.devices[0] == ("cpu",)


def place(config: ModelConfig) -> Placement:
    """What a run's settings say of its engines; needs no model.

    Raises:
        ConfigError: A device is not there, vLLM is wanted and not usable, or settings contradict each other.
        MissingExtraError: vLLM is wanted and not installed.
    """
    options = config.vllm or {}
    check_options(options)
    devices = _devices(config)
    kind = _kind(config, devices)
    if kind != "vllm" and (config.tensor_parallel > 1 or (options and config.engine != "auto")):
        named = "--tensor-parallel" if config.tensor_parallel > 1 else "the table vllm"
        raise ConfigError(f"{named} is for --engine vllm, and this run uses {kind}")
    return Placement(kind, devices)


def identity(config: ModelConfig, placement: Placement) -> dict[str, str]:
    """What of the engines decides an answer, by a readable name."""
    # Engines draw sampled answers in ways of their own.
    found = {"engine": placement.kind}
    options = decisive(config.vllm or {})
    if placement.kind == "vllm" and options:
        found["vllm"] = json.dumps(options, sort_keys=True)
    return found


def starts(
    config: ModelConfig,
    models: Merge,
    placement: Placement,
    record: ChatRecord,
    loads: Sequence[Load] = (),
) -> dict[str, Start]:
    """How each engine is started: one in this process, several in their own, or over a cluster.

    Args:
        config: The run's settings.
        models: The models, opened.
        placement: What `place` found.
        record: How chats are written and end.
        loads: What the run puts on each device; checked before the first engine is started.
    """
    settings = engine_settings(config, models, placement, record)
    if config.pool == "ray":
        from tvmerge.engines.remote.ray import ray_starts

        gpus = 0 if placement.on_cpu else config.tensor_parallel
        return ray_starts(settings.entry(), engines=config.engines, address=config.ray_address, gpus=gpus)
    # On a GPU vLLM takes the devices that its process sees.
    if len(placement.devices) > 1 or (placement.kind == "vllm" and not placement.on_cpu):
        found = process_starts(settings, placement.devices)
    else:
        found = {placement.devices[0][0]: _here(models, settings)}
    return {name: _checked(start, loads) for name, start in found.items()}


def engine_settings(
    config: ModelConfig, models: Merge, placement: Placement, record: ChatRecord
) -> EngineSettings:
    """What every engine of the run is opened from."""
    parallel = {} if config.tensor_parallel == 1 else {"tensor_parallel_size": config.tensor_parallel}
    device = placement.devices[0][0]
    return EngineSettings(
        merge=resolved(config.merge, models),
        stop_tokens=record.stops.ids,
        engine=placement.kind,
        device="cuda:0" if config.pool == "ray" and not placement.on_cpu else device,
        dtype=compute_dtype(config, models, placement),
        batch_tokens=config.batch_tokens,
        chat_template=config.chat_template,
        chat_template_kwargs=dict(record.arguments),
        day=None if record.day is None else record.day.isoformat(),
        vllm={**(config.vllm or {}), **parallel},
        fingerprint=models.fingerprint,
    )


def compute_dtype(config: ModelConfig, models: Merge, placement: Placement) -> str:
    """What the models compute in: on a CPU float32, which is faster there and exact."""
    if placement.on_cpu:
        return "float32"
    if config.dtype != "auto":
        return config.dtype
    from tvmerge.merging.dtypes import FLOATS, torch_name

    return next(torch_name(spec.dtype) for spec in models.merger.specs.values() if spec.dtype in FLOATS)


def loads(config: ModelConfig, models: Merge, placement: Placement, judges: Mapping[str, int]) -> list[Load]:
    """What the run is about to put on each device of this machine.

    Args:
        config: The run's settings.
        models: The models, opened.
        placement: What `place` found.
        judges: Bytes that judges on this machine will take, by device.
    """
    if config.pool == "ray":
        return []
    import torch

    from tvmerge.engines.transformers.memory import Load, footprint, free_memory

    trust = config.trust_remote_code
    model = _model_config(models, trust_remote_code=trust)
    dtype = getattr(torch, compute_dtype(config, models, placement))
    needed = footprint(model, dtype, trust_remote_code=trust).shared(config.tensor_parallel)
    engines = Counter(device for group in placement.devices for device in group)
    return [
        Load(models.target.name, dtype, device, free, needed, engines=count, judge=judges.get(device, 0))
        for device, count in engines.items()
        if (free := free_memory(device)) is not None
    ]


def _model_config(models: Merge, *, trust_remote_code: bool) -> Any:
    """The configuration of the merged model, as transformers reads it."""
    if models.config is None:
        from tvmerge.engines.transformers.engine import read_config

        return read_config(models.target.folder, trust_remote_code=trust_remote_code)
    from transformers import AutoConfig

    return AutoConfig.for_model(**models.config)


def _devices(config: ModelConfig) -> tuple[tuple[str, ...], ...]:
    """The devices of each engine, `tensor_parallel` of them one after the other."""
    width = config.tensor_parallel
    if width == 1 or resolve_device(config.device) == "cpu":
        names = config.devices or (config.device,) * config.engines
        return tuple((resolve_device(name),) for name in names)
    names = config.devices or tuple(f"cuda:{number}" for number in range(width * config.engines))
    if len(names) % width:
        raise ConfigError(f"{len(names)} devices cannot be dealt to engines of {width} devices each")
    found = [resolve_device(name) for name in names]
    return tuple(tuple(found[start : start + width]) for start in range(0, len(found), width))


def _kind(config: ModelConfig, devices: Sequence[Sequence[str]]) -> str:
    if config.engine == "vllm" and config.pool == "local":
        check_installed()
    if config.engine != "auto":
        return config.engine
    on_gpus = all(device != "cpu" for group in devices for device in group)
    return "vllm" if on_gpus and len(config.target_model) == 1 and is_usable() else "transformers"


def _here(models: Merge, settings: EngineSettings) -> Start:
    async def start() -> Engine:
        return await asyncio.to_thread(engine_of, models, settings)

    return start


def _checked(start: Start, found: Sequence[Load]) -> Start:
    """Refuse what will not fit, before anything is loaded."""

    # Not sooner: a run whose answers are all stored loads nothing.
    async def checked() -> Engine:
        for load in found:
            load.check()
        return await start()

    return checked
