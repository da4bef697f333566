"""A chat model whose requests are sent in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.threads import in_thread
from tvmerge._util.well_formed import well_formed_data
from tvmerge.errors import (
    ConfigError,
    OutageError,
    ProviderError,
    QuotaError,
    RequestError,
    TransientError,
    TvmergeError,
)
from tvmerge.judging.batch.api import CANCELLED, DELETED, NOT_READ, TWICE, BatchApi, Result
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.batch.collector import Collector
from tvmerge.judging.batch.runner import BatchRunner, receipt
from tvmerge.judging.batch.slot import Slot
from tvmerge.judging.batch.store import BatchStore, StoredBatch
from tvmerge.judging.batch.waiting import Waiting
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
    NotJsonError,
    NotReadError,
)
from tvmerge.judging.client.ledger import Prices
from tvmerge.judging.client.tokens import most_tokens

_NOT_IMPLEMENTED = 501


class BatchChat(ChatWrapper):
    """Collects requests, sends them in batches and returns the results.

    Batches of earlier runs are resumed: the first request with a key gets the first remaining result for
    that key, the second request the second, so a killed run gets the same replies and pays once. A run that
    ends normally deletes the results it used, except those whose replies could not be stored.

    Args:
        inner: Builds the requests; never sends any.
        api: The provider's batch endpoint.
        batching: State shared by the batches of all judges.
        prices: The price of a request in a batch, or None if unknown.
        waiting: How to wait for batches.
        owner: Owner of the batches in the store, which keeps those of different models apart. What earlier
            runs left is resumed by the first judge of an owner, and used by whichever judge asks for it.
        unstored: Stores what is left, and returns the keys of replies that cannot be stored.
    """

    def __init__(
        self,
        inner: ChatModel,
        api: BatchApi,
        batching: Batching,
        *,
        prices: Prices | None,
        waiting: Waiting,
        owner: str,
        unstored: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        super().__init__(inner)
        self._api = api
        self._batching = batching
        self._prices = prices
        self._waiting = waiting
        self._owner = owner
        self._unstored = unstored
        self._opening = asyncio.Lock()
        self._store: BatchStore | None = None
        self._runner: BatchRunner | None = None
        self._collector = Collector(
            batching, self._launch, most_requests=api.most_requests, most_bytes=api.most_bytes
        )
        self._leftovers = batching.leftovers(owner)
        self._resumed: list[Slot] = []
        self._used: dict[int, frozenset[str]] = {}
        self._under_way: dict[asyncio.Task[None], Sequence[Slot]] = {}
        batching.on_check(self._check)

    async def left(self) -> Sequence[Slot]:
        """Return the requests of earlier runs that this judge has resumed, for all judges of its owner."""
        await self._open()
        return self._resumed

    def has(self, request: ChatRequest) -> bool:
        """Return whether an earlier run left an unused result for a request, so that it need not be sent."""
        return bool(self._leftovers.slots.get(request.key))

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the reply to `request` once its batch is over.

        Raises:
            TransientError: The request was not processed, but may be if sent again.
            OutageError: The batch was cancelled or has taken too long.
            UserError, ProviderError: The batch or this request was refused.
        """
        await self._open()
        slot = self._slot(request)
        try:
            result = await asyncio.shield(slot.result)
        except asyncio.CancelledError:
            if not self._collector.remove(slot):
                self._leftovers.slots[request.key].appendleft(slot)
            raise
        self._used[slot.number] = frozenset(request.keys + request.asked.keys)
        try:
            reply = self._read(result, request)
        except ProviderError as error:
            error.receipt = slot.receipt
            raise
        return replace(reply, receipt=slot.receipt)

    async def close(self) -> None:
        """Stop waiting, and note how many requests remain with the provider."""
        self._collector.close()
        waiting = [len(slots) for task, slots in self._under_way.items() if not task.done()]
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if waiting:
            self._waiting.note(
                f"judge {self._waiting.judge}: {sum(waiting)} requests stay with the provider, in "
                f"{len(waiting)} batches; the same command resumes them"
            )
        try:
            await self._forget_used()
        finally:
            await super().close()

    async def _forget_used(self) -> None:
        """Delete the results that were used, except where a result is the only copy of a reply."""
        if self._store is None:
            return
        try:
            unstored = await self._unstored()
            used = [number for number, keys in self._used.items() if keys.isdisjoint(unstored)]
            await in_thread(self._store.used, used)
        finally:
            self._store.close()

    async def _check(self) -> None:
        try:
            await self._waiting.retry(self._probe)
        except RequestError as error:
            said = getattr(error, "said", error)
            raise ConfigError(
                f"the judge '{self._waiting.judge}' cannot be asked in batches, since its server has no "
                f"such endpoint for this key ({said}): leave --judge-batch out"
            ) from error

    async def _probe(self) -> None:
        try:
            await self._api.probe()
        except TransientError as error:
            if error.status == _NOT_IMPLEMENTED or isinstance(error, NotJsonError):
                raise RequestError(str(error), status=error.status) from error
            raise

    async def _open(self) -> BatchRunner:
        """Return the runner; the first call resumes the batches of earlier runs."""
        async with self._opening:
            if self._runner is None:
                if self._store is None:
                    self._store = await in_thread(BatchStore, self._batching.file)
                runner = BatchRunner(self._api, self._store, self._owner, self._waiting)
                async with self._leftovers.opening:
                    if not self._leftovers.resumed:
                        for batch in await runner.left():
                            self._resume(runner, batch)
                        self._leftovers.resumed = True
                self._runner = runner
        return self._runner

    def _resume(self, runner: BatchRunner, batch: StoredBatch) -> None:
        slots = [
            Slot(request.key, request.cost, number=request.number, receipt=receipt(batch, request.number))
            for request in batch.requests
        ]
        self._resumed += slots
        for slot in slots:
            self._leftovers.slots[slot.key].append(slot)
        if (results := _stored(batch)) is not None:
            _hand_out(slots, results)
            return
        if batch.received:
            self._waiting.note(
                f"judge {self._waiting.judge}: the stored results of the batch {batch.id} are damaged and "
                "are fetched again"
            )
        self._start(self._follow(runner, batch, slots), slots)

    def _slot(self, request: ChatRequest) -> Slot:
        """Return the slot for the request's result: from an earlier run, or a new one."""
        left = self._leftovers.slots.get(request.key)
        if left:
            return left.popleft()
        cost = self._prices.cost(most_tokens(request)) if self._prices else 0.0
        slot = Slot(request.key, cost, self._api.line(request))
        self._collector.add(slot)
        return slot

    def _launch(self, slots: Sequence[Slot]) -> None:
        self._start(self._run(slots), slots)

    def _start(self, work: Coroutine[Any, Any, None], slots: Sequence[Slot]) -> None:
        task = asyncio.create_task(work)
        self._under_way[task] = slots
        task.add_done_callback(self._under_way.pop)

    async def _run(self, slots: Sequence[Slot]) -> None:
        """Send a batch and wait for it; if it is too large, send its halves one after the other."""
        runner = await self._open()
        with _failing(slots):
            try:
                batch = await runner.make(slots)
                results = await runner.results(batch)
            except TransientError as error:
                if len(slots) == 1:
                    raise QuotaError(
                        f"the judge's provider accepts no more batches at present ({error}); run again "
                        "when other "
                        "batches have finished"
                    ) from error
                half = len(slots) // 2
                await self._run(slots[:half])
                slots[0].result.result()  # an error in the first half ends the second
                await self._run(slots[half:])
            else:
                _hand_out(slots, results)

    async def _follow(self, runner: BatchRunner, batch: StoredBatch, slots: Sequence[Slot]) -> None:
        """Wait for a batch of an earlier run."""
        with _failing(slots):
            _hand_out(slots, await runner.results(batch))

    def _read(self, result: Result, request: ChatRequest) -> ChatReply:
        lost = result.get("lost")
        if lost == CANCELLED:
            raise OutageError(
                "the batch was cancelled at the judge's provider; its finished replies are kept: run "
                "again to send the rest"
            )
        if lost in (NOT_READ, TWICE):
            raise NotReadError(str(lost))
        if lost:
            error = TransientError(str(lost))
            error.paid = lost == DELETED
            raise error
        return self._api.read(result, request)


def _stored(batch: StoredBatch) -> Mapping[int, Result] | None:
    """Return the results of a batch, as stored; None if there are none, or if one cannot be read."""
    if not batch.received:
        return None
    found: dict[int, Result] = {}
    for request in batch.requests:
        try:
            result = parse_json(request.result or "")
        except (ValueError, TypeError):  # a table that another program made has values of any type
            return None
        match result:
            case {"status": int(), "body": _} | {"lost": _}:
                found[request.number] = well_formed_data(result)
            case _:
                return None
    return found


def _hand_out(slots: Sequence[Slot], results: Mapping[int, Result]) -> None:
    for slot in slots:
        slot.result.set_result(results[slot.number])


@contextmanager
def _failing(slots: Sequence[Slot]) -> Iterator[None]:
    """Pass an error raised in the block to everyone waiting for `slots`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised where the results are waited for
        if isinstance(error, TvmergeError):
            # Either nothing was processed, or the result is entered when it arrives.
            error.sent = False
        for slot in slots:
            if not slot.result.done():
                slot.result.set_exception(error)
                slot.result.exception()  # mark it as retrieved, since no one may be waiting
