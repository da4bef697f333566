"""Finds the engines that a run's settings describe, and checks that the settings agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tvmerge.engines.devices import resolve_device
from tvmerge.engines.kinds import ENGINES, TABLES, EngineKind
from tvmerge.engines.own import OwnEngines
from tvmerge.engines.placement import Placement, options_of
from tvmerge.engines.vllm.version import is_usable
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from tvmerge.engines.model_settings import ModelConfig

AUTOMATIC = ("vllm", "transformers")
"""What `--engine auto` chooses from."""


def place(config: ModelConfig, own: OwnEngines | None = None, *, in_flight: int = 1) -> Placement:
    """Return the engines that a run's settings describe, without opening a model.

    Args:
        config: The settings.
        own: Engines passed by the caller, instead of those in the settings.
        in_flight: Number of candidates that are evaluated at once.

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
    if config.vllm_adapters:
        _check_adapters(config, kind)
    adapters = math.ceil(in_flight / len(devices)) if config.vllm_adapters else 0
    return Placement(kind, devices, config, adapters=adapters)


def _check_adapters(config: ModelConfig, kind: str) -> None:
    if ENGINES.load(kind).open_adapters is None:
        takers = _named(lambda engine: engine.open_adapters is not None)
        raise ConfigError(f"--vllm-adapters is for {takers}, and this run uses {kind}")
    if config.pool == "ray":
        raise ConfigError("--vllm-adapters needs --pool local; leave it out to merge each candidate on Ray")
    if len(config.target_model) > 1:
        raise ConfigError(
            "--vllm-adapters adds to one target, not to a mixture of experts; leave it out to merge each "
            "candidate"
        )


def _check_tables(config: ModelConfig, kind: str) -> None:
    """Check the options of engines; with `auto`, those of the engines that it did not choose too."""
    kinds = AUTOMATIC if config.engine == "auto" else (kind,)
    for name in kinds:
        ENGINES.load(name).check_options(options_of(config, name))
    read = {ENGINES.load(name).table for name in kinds}
    if (table := next((t for t in TABLES if getattr(config, t) and t not in read), None)) is not None:
        takers = _named(lambda engine: engine.table == table)
        raise ConfigError(f"the table {table} is for {takers}, and this run uses {kind}")


def _named(fits: Callable[[EngineKind], bool]) -> str:
    """Return the flags of the engines that fit."""
    names = (name for name in ENGINES.names() if fits(ENGINES.load(name)))
    return " or ".join(f"--engine {name}" for name in names) or "engines of installed packages"


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
