"""Engines on a Ray cluster: recipes are sent to actors, answers are streamed back.

Each actor opens the source checkpoints on its node. Ray places the actors; a lost one is handled by the pool
like any lost engine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import (
    Row,
    pack,
    pack_error,
    pack_recipe,
    unpack,
    unpack_error,
    unpack_recipe,
)
from tvmerge.errors import ConfigError, MissingExtraError, UserError
from tvmerge.protocols import Engine, RemarkingEngine
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tvmerge.engines.pool import EngineFactory

PLACEMENT = 60.0
"""Seconds to wait for Ray to find a node for an engine."""


def ray_engines(
    entry: Entry, *, engines: int, address: str | None = None, gpus: float = 0, cpus: float = 1
) -> dict[str, EngineFactory]:
    """Return how to start `engines` engines on a Ray cluster, for an `EnginePool`.

    Args:
        entry: Opens an engine on its node.
        engines: Number of engines.
        address: Address of the cluster (`HOST:PORT`, `auto`); None starts a local one.
        gpus: Number of GPUs that an engine reserves.
        cpus: Number of CPU cores that an engine reserves.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: There is no cluster at `address`.
    """
    connect(address)
    start = partial(RayEngine.start, entry, gpus=gpus, cpus=cpus)
    return {f"ray {number}": start for number in range(1, engines + 1)}


def connect(address: str | None) -> None:
    """Connect to a Ray cluster, unless this process is already connected.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: There is no cluster at `address`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray", "ray") from error
    if ray.is_initialized():
        return
    try:
        _reach(address)
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address is None else None,
        )
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ConfigError(f"there is no Ray cluster at {address or 'this machine'}: {first_line}") from error


def _reach(address: str | None) -> None:
    """Raise at once if nothing listens at `address`, since Ray itself tries for two minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


class RayEngine:
    """A client of an actor that holds an engine; created by `start`."""

    def __init__(self, actor: Any, capabilities: Capabilities) -> None:
        self._actor = actor
        self._capabilities = capabilities
        self._remarks: tuple[str, ...] = ()

    @classmethod
    async def start(cls, entry: Entry, *, gpus: float = 0, cpus: float = 1) -> Self:
        """Have Ray start an actor and open an engine in it.

        Raises:
            UserError: The engine cannot be opened on its node.
            EngineLostError: No node has enough free resources, or the actor was lost.
        """
        import ray

        options = {"num_gpus": gpus, "num_cpus": cpus, "scheduling_strategy": "SPREAD"}
        remote: Any = ray.remote(EngineActor)
        actor = remote.options(**options).remote()
        try:
            await asyncio.wait_for(_reply(actor.ready.remote()), PLACEMENT)
            found = await _reply(actor.open.remote(entry.function, dict(entry.settings)))
        except TimeoutError as error:
            ray.kill(actor)
            raise EngineLostError(
                f"no node of the Ray cluster had {cpus:g} CPUs and {gpus:g} GPUs free within {PLACEMENT:g} s"
            ) from error
        except BaseException:
            ray.kill(actor)
            raise
        return cls(actor, unpack(Capabilities, found))

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the engine in the actor."""
        return self._capabilities

    async def apply(self, recipe: Recipe) -> None:
        """Make the engine the merged model of `recipe`."""
        self._remarks = tuple(await _reply(self._actor.apply.remote(pack_recipe(recipe))))

    @property
    def remarks(self) -> Sequence[str]:
        """The remarks of the engine in the actor."""
        return self._remarks

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the actor's answers as they arrive."""
        import ray

        rows = [pack(question) for question in questions]
        stream = self._actor.generate.options(num_returns="streaming").remote(rows, pack(sampling))
        try:
            while True:
                with _translated():
                    reference = await anext(stream, None)
                if reference is None:
                    return
                yield tuple(unpack(Answer, row) for row in await _reply(reference))
        finally:
            ray.cancel(stream, force=False)

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Have the engine rate continuations."""
        rows = await _reply(self._actor.loglikelihood.remote([pack(pair) for pair in pairs]))
        return [unpack(LogLikelihood, row) for row in rows]

    async def close(self) -> None:
        """End the actor."""
        import ray

        ray.kill(self._actor)


class EngineActor:
    """Holds an engine on a node. Errors that users can read are returned as data."""

    _engine: Engine

    def ready(self) -> Row:
        """Return once the actor runs on a node."""
        return {"end": None}

    def open(self, function: str, settings: Mapping[str, Any]) -> Row:
        """Open the engine of an `Entry` and return its capabilities."""
        try:
            self._engine = Entry(function, settings).call()
        except UserError as error:
            return pack_error(error)
        return {"end": pack(self._engine.capabilities)}

    async def apply(self, recipe: Row) -> Row:
        """Become the merged model of `recipe`."""
        try:
            await self._engine.apply(unpack_recipe(recipe))
        except UserError as error:
            return pack_error(error)
        return {"end": list(self._engine.remarks) if isinstance(self._engine, RemarkingEngine) else []}

    async def generate(self, questions: Sequence[Row], sampling: Row) -> AsyncGenerator[Row, None]:
        """Stream the engine's answers."""
        asked = [unpack(Question, row) for row in questions]
        try:
            async with aclosing(self._engine.generate(asked, unpack(Sampling, sampling))) as stream:
                async for answers in stream:
                    yield {"end": [pack(answer) for answer in answers]}
        except UserError as error:
            yield pack_error(error)

    async def loglikelihood(self, pairs: Sequence[Row]) -> Row:
        """Rate continuations."""
        try:
            found = await self._engine.loglikelihood([unpack(Continuation, row) for row in pairs])
        except UserError as error:
            return pack_error(error)
        return {"end": [pack(one) for one in found]}


async def _reply(reference: Awaitable[Row]) -> Any:
    """Return what an actor replied."""
    with _translated():
        row = await reference
    if "error" in row:
        raise unpack_error(row)
    return row["end"]


@contextmanager
def _translated() -> Iterator[None]:
    """Translate Ray's errors and all unexpected errors to `EngineLostError`."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayError as error:
        lines = str(error).strip().split("\n")
        # An actor's exception contains its traceback, which ends with the message.
        reason = lines[-1] if isinstance(error, RayTaskError) else f"{type(error).__name__}: {lines[0]}"
        raise EngineLostError(reason) from error


if TYPE_CHECKING:
    _engine: type[Engine] = RayEngine
