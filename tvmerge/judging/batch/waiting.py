"""How to wait for batches, and whom to tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tvmerge.judging.batch.call_retry import CallRetry
from tvmerge.judging.client.pauses import Pauses


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait for a batch.

    Attributes:
        judge: The judge's name, for messages.
        patience: Seconds to wait for a batch.
        retry: Retries failed calls.
        pauses: Shows the user what the run is waiting for.
        note: Shows the user a note.
        wall: Returns the seconds since 1970.
    """

    judge: str
    patience: float
    retry: CallRetry
    pauses: Pauses
    note: Callable[[str], None]
    wall: Callable[[], float] = time.time
