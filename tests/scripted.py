"""What tests of the loop share: a small space, some questions, and pools of given engines."""

from __future__ import annotations

from tvmerge.engines.pool import EngineFactory, EnginePool
from tvmerge.protocols import Engine
from tvmerge.records import Question
from tvmerge.study.space import Space

SPACE = Space(("a", "b"), 0.0, 2.0)
QUESTIONS = tuple(Question(i, "writing", ("q",)) for i in range(6))


def pool_of(*engines: Engine) -> EnginePool:
    def starting(engine: Engine) -> EngineFactory:
        async def start() -> Engine:
            return engine

        return start

    return EnginePool({str(number): starting(engine) for number, engine in enumerate(engines)})
