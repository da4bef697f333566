"""Engines passed by the caller: how they are identified, and how a run starts them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tvmerge._util.canonical import canonical_json
from tvmerge.engines.kinds import TABLES
from tvmerge.engines.settings import AnswerConfig
from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from tvmerge.engines.pool import EngineFactory
    from tvmerge.protocols import Engine, IdentifiedEngine, Merger
    from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

Maker = Callable[["Merger"], "Engine"]
"""Makes an engine, given a merger; has an attribute `fingerprint`, such as that of a class."""

_UNUSED = (
    *("engine", "tensor_parallel", "vllm_adapters", *TABLES),
    *("devices", "device", "pool", "ray_address", "batch_tokens"),
)
"""Settings of tvmerge's engines, which do not apply to others."""


@dataclass(frozen=True, slots=True)
class OwnEngines:
    """Engines passed by the caller.

    Attributes:
        given: The engines; the caller closes them.
        make: Makes the engines instead; the run closes them.
        identity: What decides their answers, as JSON.
    """

    given: tuple[IdentifiedEngine, ...]
    make: Maker | None
    identity: str

    def check(self, config: AnswerConfig) -> None:
        """Check that no setting is given that these engines ignore.

        Raises:
            ConfigError: Such a setting is not at its default.
        """
        unused = (*_UNUSED, *(() if self.make else ("engines",)))
        for key in unused:
            if getattr(config, key) != AnswerConfig.__dataclass_fields__[key].default:
                raise ConfigError(
                    f"{key} is for tvmerge's own engines, and this run uses yours; leave it out"
                )

    def engine_factories(self, merger: Merger, count: int) -> dict[str, EngineFactory]:
        """Return how each engine is started, by its name.

        Args:
            merger: Makes the tensors of a recipe.
            count: Number of engines to make; ignored if engines are given.
        """
        make = self.make
        if make is not None:
            return {f"own engine {number}": _making(make, merger) for number in range(1, count + 1)}
        return {f"own engine {number}": _lending(engine) for number, engine in enumerate(self.given, 1)}


def own_engines(given: object) -> OwnEngines:
    """Return the engines in `given`: one engine, several, or a function that makes one.

    Raises:
        ConfigError: It is none of these, or has no fingerprint.
    """
    several = tuple(given) if isinstance(given, Sequence) else (given,)
    if not several:
        raise ConfigError("engine is empty; give at least one engine")
    identities = {_identity(engine) for engine in several}
    if len(identities) > 1:
        raise ConfigError("the engines of a run must have the same fingerprint, since any of them may answer")
    makers = [engine for engine in several if isinstance(engine, type) or not hasattr(engine, "apply")]
    if makers and len(several) > 1:
        raise ConfigError("give a single function that makes engines, and their number with engines=N")
    identity = identities.pop()
    if makers:
        return OwnEngines((), cast("Maker", makers[0]), identity)
    return OwnEngines(cast("tuple[IdentifiedEngine, ...]", several), None, identity)


def _identity(engine: object) -> str:
    if not (callable(engine) or hasattr(engine, "apply")):
        raise ConfigError(
            f"engine must be a name, an engine (tvmerge.protocols.Engine) or a function that makes one, got "
            f"{type(engine).__name__}"
        )
    found = getattr(engine, "fingerprint", None)
    try:
        if isinstance(found, Mapping) and found:
            return canonical_json({"own": dict(found)})
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"the engine {_name(engine)} needs an attribute 'fingerprint', a dict of JSON data with all that "
        "decides its answers (at least its name and version), because stored answers are looked up by it"
    )


def _name(engine: object) -> str:
    return engine.__qualname__ if isinstance(engine, type) else type(engine).__qualname__


def _making(make: Maker, merger: Merger) -> EngineFactory:
    async def start() -> Engine:
        return make(merger)

    return start


def _lending(engine: Engine) -> EngineFactory:
    async def start() -> Engine:
        return LentEngine(engine)

    return start


class LentEngine:
    """Wraps an engine of the caller, which the run must not close.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def capabilities(self) -> Capabilities:
        """The engine's capabilities."""
        return self._engine.capabilities

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`."""
        await self._engine.apply(recipe)

    def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer every question."""
        return self._engine.generate(questions, sampling)

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the log-likelihood of each continuation."""
        return await self._engine.loglikelihood(pairs)

    async def close(self) -> None:
        """Do nothing; the caller closes the engine."""


if TYPE_CHECKING:
    _engine: type[Engine] = LentEngine
