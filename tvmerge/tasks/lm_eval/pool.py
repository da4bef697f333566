"""The pool for tasks: takes documents as questions and returns responses to their requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance

from tvmerge.engines.waves import doubling
from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling
from tvmerge.tasks.lm_eval.judge import pack
from tvmerge.tasks.lm_eval.model import PoolLM, Prompts
from tvmerge.tasks.lm_eval.task import Document, HarnessTask

PORTION = 256
"""Maximum number of questions asked together: enough for many batches, and little is lost in a crash."""


class HarnessPool:
    """Answers documents of tasks by asking another pool, which answers all other questions unchanged.

    The single turn of an answer holds the responses to all requests of its document, for `HarnessJudge`.

    Between two calls of the other pool, an engine may switch to another candidate and must merge again. So
    documents are prefetched in portions that double in size: a candidate gets the engine a few times instead
    of once per wave, and one that is stopped after a wave was asked at most twice what it needed.

    lm-eval's interface to models blocks, so it is called in separate threads, because the event loop's own
    are needed by the calls it waits for.

    Args:
        pool: The live models, which cache their answers.
        tasks: The tasks.
        prompts: Encodes texts.
    """

    def __init__(self, pool: Pool, tasks: Sequence[HarnessTask], prompts: Prompts) -> None:
        self._pool = pool
        self._documents = {id_: document for task in tasks for id_, document in task.by_id.items()}
        self._prompts = prompts
        self._threads = ThreadPoolExecutor(thread_name_prefix="lm-eval")

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer like the other pool; for tasks, only the seed of `sampling` is used.

        In waves, the documents of a portion come before its other questions and belong to no wave.
        """
        for portion in self._portions(questions, wave):
            ours = [question for question in portion if question.question_id in self._documents]
            if ours:
                found = await self._ask(recipe, ours, sampling.seed)
                yield tuple(
                    Answer(question.question_id, (pack(responses),), ("stop",), sample)
                    for question, responses in zip(ours, found, strict=True)
                    for sample in range(sampling.samples)
                )
            others = [question for question in portion if question.question_id not in self._documents]
            if others:
                async with aclosing(self._pool.answer(recipe, others, sampling, wave=wave)) as stream:
                    async for answers in stream:
                        yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return what the other pool returns."""
        return await self._pool.loglikelihood(recipe, pairs)

    async def close(self) -> None:
        """Close the other pool."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._pool.close()

    def _portions(self, questions: Sequence[Question], wave: int | None) -> list[Sequence[Question]]:
        """Return the questions asked together: whole waves, or documents after all other questions."""
        if wave:
            return doubling(questions, wave, PORTION)
        others = [question for question in questions if question.question_id not in self._documents]
        ours = [question for question in questions if question.question_id in self._documents]
        return [others, *_cut(ours, PORTION)]

    async def _ask(self, recipe: Recipe, questions: Sequence[Question], seed: int) -> list[list[list[Any]]]:
        """Return the responses to each request of each document."""
        documents = [self._documents[question.question_id] for question in questions]
        loop = asyncio.get_running_loop()
        bridge = _Bridge(loop)
        model = PoolLM(self._pool, recipe, self._prompts, bridge.wait, seed)
        try:
            return await loop.run_in_executor(self._threads, _respond, model, documents)
        finally:
            bridge.cut()


def _cut(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    return [questions[start : start + size] for start in range(0, len(questions), size)]


class _Bridge:
    """Runs coroutines in the event loop for a thread that waits for them.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: Future[Any] | None = None
        self._is_cut = False

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of `work` to the thread; raise `CancelledError` if the bridge is cut."""
        self._waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._is_cut:
            self._waiting.cancel()
        return self._waiting.result()

    def cut(self) -> None:
        """Cancel what the thread waits for, now and later, since its result is no longer needed."""
        self._is_cut = True
        if self._waiting is not None:
            self._waiting.cancel()


def _respond(model: PoolLM, documents: Sequence[Document]) -> list[list[list[Any]]]:
    """Ask all requests of a kind together, each as often as its task repeats them."""
    kinds: dict[str, list[Instance]] = {}
    for document in documents:
        for request in document.requests:
            kinds.setdefault(request.request_type, []).extend([request] * (request.repeats or 1))
    said: dict[int, list[Any]] = {}
    for kind, requests in kinds.items():
        for request, response in zip(requests, getattr(model, kind)(requests), strict=True):
            said.setdefault(id(request), []).append(response)
    return [[said[id(request)] for request in document.requests] for document in documents]


if TYPE_CHECKING:
    _pool: type[Pool] = HarnessPool
