"""Runs the batches of one judge: creates each once, finds it after an interruption, awaits and reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import uuid4

from tvmerge._util.threads import in_thread
from tvmerge.errors import (
    ConfigError,
    OutageError,
    ProviderError,
    RequestError,
    TransientError,
    TvmergeError,
    UserError,
)
from tvmerge.judging.batch.api import DELETED, MISSING, BatchApi, Progress, Result, may_have_succeeded
from tvmerge.judging.batch.results import lacking
from tvmerge.judging.batch.slot import Slot
from tvmerge.judging.batch.store import BatchStore, StoredBatch
from tvmerge.judging.batch.waiting import Waiting
from tvmerge.judging.client.chat import NotReadError
from tvmerge.judging.client.pauses import clock

_FIRST_LOOK = 1.0
_LONGEST_LOOK = 60.0
SETTLING = 10.0
"""Seconds after which a created batch is certain to be listed."""
_KEPT = 30 * 86400.0
"""Seconds after which a provider may have deleted a batch or its results."""


class _UnknownBatchError(UserError):
    """The provider does not know a batch."""


class BatchRunner:
    """Creates batches and waits for them, recording each step before it is taken.

    If the response to creating a batch is lost, in this run or in a killed one, the batch may or may not
    exist. It is then looked for before another one is created, so that no request is paid for twice.

    Args:
        api: The provider's batch endpoint.
        store: Records the steps.
        owner: The owner of these batches in the store.
        waiting: How to wait for them.
    """

    def __init__(self, api: BatchApi, store: BatchStore, owner: str, waiting: Waiting) -> None:
        self._api = api
        self._store = store
        self._owner = owner
        self._waiting = waiting
        self._retry = waiting.retry

    async def left(self) -> tuple[StoredBatch, ...]:
        """Return the batches that earlier runs left; forget those that were never created.

        Raises:
            UserError, ProviderError: The provider cannot be reached.
        """
        kept: list[StoredBatch] = []
        for batch in await in_thread(self._store.batches, self._owner):
            if batch.received or batch.id:
                kept.append(batch)
            elif batch.tried is not None and (found := await self._find(batch)):
                kept.append(replace(batch, id=found))
            else:
                await in_thread(self._store.forget, batch.number)
        return tuple(kept)

    async def make(self, slots: Sequence[Slot]) -> StoredBatch:
        """Create a batch of new requests.

        Raises:
            UserError, ProviderError: It was not created.
        """
        mark, requests = uuid4().hex, [(slot.key, slot.cost) for slot in slots]
        batch = await in_thread(self._store.plan, self._owner, mark, requests, self._waiting.wall())
        for slot, request in zip(slots, batch.requests, strict=True):
            slot.number, slot.receipt = request.number, receipt(batch, request.number)
        lines = [slot.line for slot in slots]
        attempt = _Attempt()
        try:
            uploaded = await self._retry(lambda: self._api.upload(batch.mark, lines))
            name = await self._retry(lambda: self._made(batch, uploaded, lines, attempt))
        except TvmergeError:
            if not attempt.in_doubt:
                await in_thread(self._store.forget, batch.number)
            raise
        return replace(batch, id=name)

    async def results(self, batch: StoredBatch) -> Mapping[int, Result]:
        """Wait for a batch and return its results by the rows of its requests.

        Results that an old batch does not have any more were deleted by the provider.

        Raises:
            OutageError: The patience ran out; the batch stays with the provider.
            ConfigError, QuotaError, CredentialsError: It was refused as a whole.
            TransientError: It was refused because the provider has too many requests queued.
        """
        # The clock alone may be wrong, so a batch counts as deleted only if the provider lacks it, too.
        old = self._waiting.wall() - batch.planned > _KEPT
        try:
            progress = await self._over(batch.id)
            if progress.state == "refused":
                await in_thread(self._store.forget, batch.number)
                raise self._refusal(batch, progress)
            requested = set() if old else {request.key for request in batch.requests}
            found, lost = await self._found(progress, requested), progress.lost
        except (_UnknownBatchError, RequestError):
            if not old:
                raise
            found, lost = {}, MISSING
        if old and lost == MISSING:
            lost = DELETED
        known = {request.key for request in batch.requests}
        if strangers := len(found.keys() - known):
            self._note(f"the batch {batch.id} has {strangers} results without a request; ignored")
        results = {request.number: found.get(request.key, {"lost": lost}) for request in batch.requests}
        texts = {number: json.dumps(result) for number, result in results.items()}
        await in_thread(self._store.receive, batch.number, texts)
        return results

    async def _made(self, batch: StoredBatch, uploaded: str, lines: Sequence[str], attempt: _Attempt) -> str:
        """Return the id of the batch; create it unless a lost earlier call has."""
        name = await self._find(batch) if attempt.in_doubt else ""
        if not name:
            batch = await self._try(batch)
            attempt.in_doubt = True
            try:
                name = (await self._api.create(batch.mark, uploaded, lines)).id
            except TransientError as error:
                attempt.in_doubt = error.sent and error.status != HTTPStatus.TOO_MANY_REQUESTS
                raise
            except TvmergeError as error:
                # A success that describes no batch may have made one all the same.
                attempt.in_doubt = may_have_succeeded(error)
                if isinstance(error, ProviderError) and error.paid:  # for this call, not for the requests
                    raise OutageError(
                        f"the batch may have been made, but the provider's answer was not read ({error}): "
                        "run again"
                    ) from error
                raise
        await in_thread(self._store.made, batch.number, name)
        return name

    async def _try(self, batch: StoredBatch) -> StoredBatch:
        now = self._waiting.wall()
        await in_thread(self._store.trying, batch.number, now)
        return replace(batch, tried=now)

    async def _find(self, batch: StoredBatch) -> str:
        """Return the id of a batch that may have been created; empty if it was not."""
        tried = batch.planned if batch.tried is None else batch.tried
        loop = asyncio.get_running_loop()
        # At most that long, even if the system's clock was set back since.
        settled = loop.time() + min(tried - self._waiting.wall(), 0.0) + SETTLING
        while True:
            young = loop.time() < settled
            if name := await self._listed(batch, min(tried, batch.planned)):
                await in_thread(self._store.made, batch.number, name)
                return name
            if not young:
                return ""
            seconds = max(0.0, settled - loop.time())
            why = f"whether the provider has the last batch of judge {self._waiting.judge} is not known yet"
            self._waiting.pauses.wait(batch.mark, seconds, why)
            await asyncio.sleep(seconds)

    async def _listed(self, batch: StoredBatch, since: float) -> str:
        known = await in_thread(self._store.ids)
        number = len(batch.requests)
        for found in await self._retry(lambda: self._api.find(batch.mark, number, since)):
            name = found.progress.id
            if name not in known and (found.sure or await self._holds(name, batch)):
                return name
        return ""

    async def _holds(self, name: str, batch: StoredBatch) -> bool:
        """Return whether a batch consists of these requests, judging by its results once it is over."""
        requested = {request.key for request in batch.requests}
        results = await self._found(await self._over(name), requested, maybe_others=True)
        return results.keys() == requested

    async def _found(
        self, progress: Progress, requested: AbstractSet[str], *, maybe_others: bool = False
    ) -> Mapping[str, Result]:
        """Return the results of a batch once there are as many as its provider has processed.

        A request without a result is sent again, so what was processed, and may be billed, is awaited.

        Args:
            progress: Its progress.
            requested: The keys of its requests.
            maybe_others: Whether it may be somebody else's batch, which one result with another key shows.
        """
        looked = progress

        async def fetched() -> Mapping[str, Result]:
            nonlocal looked
            found = await self._api.results(looked)
            others = maybe_others and found.keys() - requested
            less = lacking(looked, len(found.keys() & requested), len(requested))
            if less and not others:
                again = await self._poll(progress.id)  # files may be named later
                looked = again if again.state == "over" else looked
                raise TransientError(
                    f"{less} results of the batch {progress.id} are missing; to pay for its requests again, "
                    f"move {self._store.path} away"
                )
            return found

        try:
            return await self._retry(fetched)
        except NotReadError as error:
            raise OutageError(
                f"the results of the batch {progress.id} cannot be read ({error}); they remain with the "
                "provider: leave --judge-batch out to ask one by one"
            ) from error

    async def _over(self, name: str) -> Progress:
        """Wait until a batch is over."""
        loop = asyncio.get_running_loop()
        begun, delay = loop.time(), _FIRST_LOOK
        try:
            while True:
                progress = await self._retry(lambda: self._poll(name))
                if progress.state != "running":
                    return progress
                self._wait(progress, begun + self._waiting.patience - loop.time())
                await asyncio.sleep(delay)
                delay = min(_LONGEST_LOOK, 1.5 * delay)
        finally:
            self._waiting.pauses.over(name)

    async def _poll(self, name: str) -> Progress:
        try:
            progress = await self._api.poll(name)
        except RequestError as error:
            if may_have_succeeded(error):
                raise TransientError(str(error)) from error
            raise _UnknownBatchError(
                f"the judge's provider does not know the batch {name} with this key ({error}): set the key "
                f"it was created with; if it no longer exists, move {self._store.path} away"
            ) from error
        if progress.id != name:
            raise TransientError(f"asked for the batch {name}, it describes another, {progress.id}")
        return progress

    def _wait(self, progress: Progress, left: float) -> None:
        if left <= 0:
            raise OutageError(
                f"the batch {progress.id} of judge {self._waiting.judge} is not done within "
                f"--judge-batch-patience {self._waiting.patience:g} s; it remains with the provider: "
                "run again "
                "to keep waiting for it"
            )
        wall = self._waiting.wall()
        total = f" of {progress.total}" if progress.total else ""
        sent = f", sent at {clock(progress.created - wall, wall)}" if progress.created else ""
        why = f"the batch {progress.id} of judge {self._waiting.judge} ({progress.done}{total} done{sent})"
        self._waiting.pauses.wait(progress.id, left, why, latest=True)

    def _refusal(self, batch: StoredBatch, progress: Progress) -> TvmergeError:
        error = progress.error
        if error is None or isinstance(error, RequestError):
            error = ConfigError(
                f"the judge's provider refuses the batch {batch.id} ({getattr(error, 'said', error)}); "
                "nothing was billed: correct the judge's file, or leave --judge-batch out"
            )
        return error

    def _note(self, text: str) -> None:
        self._waiting.note(f"judge {self._waiting.judge}: {text}")


@dataclass(slots=True)
class _Attempt:
    """Attempts to create one batch; records whether it may exist although no call has confirmed it."""

    in_doubt: bool = False


def receipt(batch: StoredBatch, request: int) -> str:
    """Return what identifies the result of a request of a batch, in all runs."""
    return f"{batch.mark}/{request}"
