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
"""Timeout of a call in seconds; long enough for the largest file on a slow connection."""


class CallRetry:
    """Retries a call until it succeeds or the patience runs out.

    Args:
        patience: Seconds after the first failure during which to retry.
        wait_for_quota: Wait as long as the provider asks for, instead of stopping the run.
        pauses: Shows the user what the run is waiting for.
    """

    def __init__(self, patience: float, *, wait_for_quota: bool = False, pauses: Pauses) -> None:
        self._patience = patience
        self._wait_for_quota = wait_for_quota
        self._pauses = pauses

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `call`.

        Raises:
            OutageError: The patience ran out.
            QuotaError: The provider asks to wait longer than the patience.
            UserError, ProviderError: The failure is not temporary.
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
            # A provider may ask for a longer wait than the patience, which starts over after it.
            asked_for = (failure.retry_after or 0.0) > self._patience and self._wait_for_quota
            deadline = float("inf") if asked_for else min(deadline, now + self._patience)
            self._check(failure, now + wait > deadline)
            self._pauses.wait(call, wait, f"the judge's provider is failing; retrying then ({failure})")
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _check(self, failure: TransientError, out_of_patience: bool) -> None:
        asked = failure.retry_after
        if asked is not None and asked > self._patience and not self._wait_for_quota:
            raise QuotaError(f"the judge's provider asks to wait {asked:.0f} s ({failure}); run again then")
        if out_of_patience:
            raise OutageError(
                f"the judge's provider has failed for {self._patience:g} s ({failure}); what was sent "
                "remains with it: run again when it answers"
            ) from failure
