"""Entries that open no real engine; imports nothing heavy, so that a process with one starts at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from tvmerge.errors import AssetError, CheckpointError
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling


def refused() -> Any:
    """Bad input."""
    raise CheckpointError("there is no such model")


def broken() -> Any:
    """A device that fails, in a library that prints."""
    os.write(1, b"a library's chatter\n")
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def tell() -> Any:
    """Says what the environment says."""
    raise AssetError(os.environ["TVMERGE_TEST_DEVICE"])


class Endless:
    """Answers its first question, and is never done with the second."""

    def __init__(self, number: int | None = None) -> None:
        name = "endless" if number is None else f"number {number}"
        self.capabilities = Capabilities(name, exact=True)
        self._number = number or 0

    remarks = ("pages cannot be registered",)

    async def apply(self, recipe: Recipe) -> None:
        pass

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        yield (Answer(questions[0].question_id, ("done",), ("stop",)),)
        await asyncio.Event().wait()

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        return [LogLikelihood(float(self._number), greedy=True) for _ in pairs]

    async def close(self) -> None:
        pass


def several() -> list[Endless]:
    """Two engines for one process."""
    return [Endless(number) for number in range(2)]
