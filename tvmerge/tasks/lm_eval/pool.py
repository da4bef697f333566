"""The pool for tasks: takes documents as questions and returns the model's responses to their requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance

from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling
from tvmerge.tasks.lm_eval.judge import pack
from tvmerge.tasks.lm_eval.model import PoolLM, Prompts
from tvmerge.tasks.lm_eval.task import Document, HarnessTask

PORTION = 256
"""Questions asked together, at most: many batches, and little lost by a kill."""


class HarnessPool:
    """Answers documents of tasks by asking another pool; that answers all other questions as ever.

    An answer's one turn holds the responses to all requests of its document, for `HarnessJudge` to read.

    Each time the other pool is asked, an engine may have become another candidate meanwhile and is merged
    again. So documents are asked ahead of the waves, in portions that double: a candidate takes turns at the
    engine a handful of times instead of once a wave, and one that is stopped after a wave was asked at most
    twice what it needed.

    lm-eval's interface to models blocks, so it is called in threads of the pool's own: those of the event
    loop are needed by what it waits for.

    Args:
        pool: The live models; keeps what it was asked before.
        tasks: The tasks.
        prompts: How texts become tokens.
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
        """Answer as the other pool; how texts are drawn for tasks is theirs to say, but for the seed.

        In waves, the documents of a portion come before its other questions, and count for no wave.
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
        """As the other pool."""
        return await self._pool.loglikelihood(recipe, pairs)

    async def close(self) -> None:
        """Close the other pool."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._pool.close()

    def _portions(self, questions: Sequence[Question], wave: int | None) -> list[Sequence[Question]]:
        """The questions as they are asked together: whole waves, or others first and documents after them."""
        if wave:
            return _doubling(questions, wave)
        others = [question for question in questions if question.question_id not in self._documents]
        ours = [question for question in questions if question.question_id in self._documents]
        return [others, *_cut(ours, PORTION)]

    async def _ask(self, recipe: Recipe, questions: Sequence[Question], seed: int) -> list[list[list[Any]]]:
        """The responses to each request of each document."""
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


def _doubling(questions: Sequence[Question], wave: int) -> list[Sequence[Question]]:
    """The questions in portions of one wave, one, two, four, ...: each as large as all before it."""
    portions: list[Sequence[Question]] = []
    most = max(PORTION // wave, 1) * wave
    start = 0
    while start < len(questions):
        end = start + min(max(start, wave), most)
        portions.append(questions[start:end])
        start = end
    return portions


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
        """The result of `work`, for the thread; raises `CancelledError` where the bridge is cut."""
        self._waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._is_cut:
            self._waiting.cancel()
        return self._waiting.result()

    def cut(self) -> None:
        """Cancel what the thread waits for, now and later: nobody wants its result any more."""
        self._is_cut = True
        if self._waiting is not None:
            self._waiting.cancel()


def _respond(model: PoolLM, documents: Sequence[Document]) -> list[list[list[Any]]]:
    """Ask all requests of a kind together, each as often as its task repeats it."""
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
