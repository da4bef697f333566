"""Retries calls to a batch endpoint after temporary failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from tvmerge.errors import OutageError, QuotaError, TransientError
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.retry import backoff

T = TypeVar("T")

_LONGEST_CALL = 900.0
"""Seconds after which a call is given up: time for the largest file over a slow line."""


class Persistence:
    """Makes a call until it succeeds or the patience is at its end.

    Args:
        patience: Seconds after the first failure in which it is made again.
        wait_for_quota: Wait however long the provider asks for, instead of stopping the run.
        pauses: Tells the user what is waited for.
    """

    def __init__(self, patience: float, *, wait_for_quota: bool = False, pauses: Pauses) -> None:
        self._patience = patience
        self._wait_for_quota = wait_for_quota
        self._pauses = pauses

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The outcome of `call`.

        Raises:
            OutageError: Patience is at its end.
            QuotaError: The provider asks to wait longer than patience would.
            UserError, ProviderError: Whatever does not pass by itself.
        """
        deadline = float("inf")
        for attempt in count(1):
            try:
                async with asyncio.timeout(_LONGEST_CALL):
                    return await call()
            except TimeoutError:
                failure = TransientError(f"no reply within {_LONGEST_CALL:g} s")
            except TransientError as error:
                failure = error
            now = asyncio.get_running_loop().time()
            wait = backoff(attempt, failure.retry_after)
            told_to_wait = failure.retry_after is not None and self._wait_for_quota
            deadline = float("inf") if told_to_wait else min(deadline, now + self._patience)
            self._check(failure, now + wait > deadline)
            self._pauses.wait(
                call, wait, f"the judge's provider is failing; it is asked again then ({failure})"
            )
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _check(self, failure: TransientError, out_of_patience: bool) -> None:
        asked = failure.retry_after
        if asked is not None and asked > self._patience and not self._wait_for_quota:
            raise QuotaError(f"the judge's provider asks to wait {asked:.0f} s ({failure}); run again then")
        if out_of_patience:
            raise OutageError(
                f"the judge's provider has failed for {self._patience:g} s ({failure}); what was sent "
                "remains "
                "with it: run again when it answers"
            ) from failure
