"""The interface to a provider's batch endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from tvmerge.errors import TvmergeError
from tvmerge.judging.client.chat import ChatReply, ChatRequest

State = Literal["running", "over", "refused"]

EXPIRED = "the batch expired before it was processed"
CANCELLED = "the batch was cancelled before it was processed"
MISSING = "the batch has no result for it"

Result = Mapping[str, Any]
"""What became of one request of a batch, as JSON data: `{"status": int, "body": data}` where it was answered
or refused, `{"lost": why}` where it was not processed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is.

    Attributes:
        id: The provider's name of it.
        state: `running`, `over` (there are results, not of all requests perhaps), or `refused` as a whole.
        total: Requests in it; 0 where the provider does not say.
        done: Requests that are processed, as far as it says.
        created: When it was made by the provider's clock, in seconds since 1970.
        lost: Why requests without a result have none.
        results: Where its results are, for the provider.
        error: Why it was refused.
    """

    id: str
    state: State
    total: int = 0
    done: int = 0
    created: float = 0.0
    lost: str = MISSING
    results: tuple[str, ...] = ()
    error: TvmergeError | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A batch that may be the one looked for.

    Attributes:
        progress: How far it is.
        sure: It is; else only its results tell.
    """

    progress: Progress
    sure: bool


class BatchApi(Protocol):
    """A provider's batch endpoint. All methods raise what `ChatModel.send` does, and retry nothing."""

    most_requests: int
    """Most requests in one batch."""
    most_bytes: int
    """Most bytes of one batch, as `line` counts them."""

    def line(self, request: ChatRequest) -> str:
        """A request as it stands in a batch, under its key."""

    async def probe(self) -> None:
        """Ask for something that costs nothing.

        Raises:
            FormError: There is no batch endpoint.
        """

    async def upload(self, mark: str, lines: Sequence[str]) -> str:
        """Bring the requests to the provider, where that is a separate step; the name of what is there."""

    async def create(self, mark: str, uploaded: str, lines: Sequence[str]) -> Progress:
        """Start a batch that carries `mark`, where the provider has a place for it."""

    async def find(self, mark: str, number: int, since: float) -> Sequence[Found]:
        """Batches that may be the one of that mark.

        Args:
            mark: What it was made with.
            number: How many requests it has.
            since: It was not made before that moment, in seconds since 1970.
        """

    async def look(self, batch: str) -> Progress:
        """How far a batch is."""

    async def results(self, progress: Progress) -> Mapping[str, Result]:
        """The results of a batch that is over, by the requests' keys."""

    def read(self, result: Result, request: ChatRequest) -> ChatReply:
        """What a result says; raises what its own request would."""


@runtime_checkable
class Batched(Protocol):
    """A chat model whose provider has a batch endpoint."""

    def batches(self) -> BatchApi:
        """The endpoint."""
