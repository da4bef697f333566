"""The interface to a provider's batch endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Protocol, runtime_checkable

from tvmerge.errors import ProviderError, TvmergeError
from tvmerge.judging.client.chat import ChatReply, ChatRequest

State = Literal["running", "over", "refused"]

EXPIRED = "the batch expired before it was processed"
CANCELLED = "the batch was cancelled before it was processed"
MISSING = "the batch has no result for it"
DELETED = "the provider has deleted its result, which was billed"
NOT_READ = "its result is too large or cannot be read"
TWICE = "the batch has several replies to it, which differ"

Result = Mapping[str, Any]
"""The result of one request of a batch, as JSON data: `{"status": int, "body": data}` if it was answered or
refused, `{"lost": why}` if it was not processed or its result cannot be read."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a batch.

    Attributes:
        id: The provider's id of it.
        state: `running`, `over` (there are results, though perhaps not for all requests), or `refused` as a
            whole.
        total: Number of its requests; 0 if the provider does not say.
        done: Number of requests processed, if the provider says so.
        created: When it was created by the provider's clock, in seconds since 1970.
        lost: Why requests without a result have none.
        results: Where the provider keeps its results.
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
class BatchMatch:
    """A batch that may be the one looked for.

    Attributes:
        progress: Its progress.
        sure: Whether it is the one for certain. If not, only its results can tell.
    """

    progress: Progress
    sure: bool


class BatchApi(Protocol):
    """A provider's batch endpoint. All methods raise what `ChatModel.send` raises, and do not retry."""

    most_requests: int
    """Maximum number of requests in a batch."""
    most_bytes: int
    """Maximum size of a batch in bytes, summed over what `line` returns."""

    def line(self, request: ChatRequest) -> str:
        """Return a request in the form used in a batch, identified by its key."""

    async def probe(self) -> None:
        """Make a call that costs nothing.

        Raises:
            InvalidRequestError: There is no batch endpoint.
        """

    async def upload(self, mark: str, lines: Sequence[str]) -> str:
        """Upload the requests, if that is a separate step, and return the id of the upload."""

    async def create(self, mark: str, uploaded: str, lines: Sequence[str]) -> Progress:
        """Create a batch with `mark` as metadata, if the provider supports metadata."""

    async def find(self, mark: str, number: int, since: float) -> Sequence[BatchMatch]:
        """Return batches that may be the one with that mark.

        Args:
            mark: The mark it was created with.
            number: How many requests it has.
            since: The earliest time it can have been created, in seconds since 1970.
        """

    async def poll(self, batch: str) -> Progress:
        """Return the progress of a batch."""

    async def results(self, progress: Progress) -> Mapping[str, Result]:
        """Return the results of a batch that is over, by the requests' keys."""

    def read(self, result: Result, request: ChatRequest) -> ChatReply:
        """Return the reply in a result; raise what a separate request would have raised."""


@runtime_checkable
class Batched(Protocol):
    """A chat model whose provider has a batch endpoint."""

    def batches(self) -> BatchApi:
        """The endpoint."""


def may_have_succeeded(error: TvmergeError) -> bool:
    """Return whether a call that failed may have done what it was for, though its reply is of no use."""
    return isinstance(error, ProviderError) and (
        error.paid or getattr(error, "status", None) == HTTPStatus.OK
    )
