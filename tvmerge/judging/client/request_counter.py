"""Counts and sizes the requests a judge would send, without sending them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, Usage
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.client.tokens import most_tokens


@dataclass(frozen=True, slots=True)
class Calls:
    """The number of calls of a judge and an upper bound of their tokens; added and multiplied by field.

    Attributes:
        calls: Number of calls.
        input: Maximum number of input tokens.
        output: Maximum number of output tokens.
        largest: The tokens in and out that no single call exceeds.
    """

    calls: int = 0
    input: int = 0
    output: int = 0
    largest: Usage = field(default_factory=Usage)

    def __add__(self, other: Calls) -> Calls:
        ours, theirs = self.largest, other.largest
        return Calls(
            self.calls + other.calls,
            self.input + other.input,
            self.output + other.output,
            Usage(max(ours.input, theirs.input), max(ours.output, theirs.output)),
        )

    def __mul__(self, times: int) -> Calls:
        return Calls(self.calls * times, self.input * times, self.output * times, self.largest)

    def share(self, fraction: float) -> Calls:
        """Return the expected count if each request is sent with this probability, rounded up."""
        calls, read, written = (math.ceil(n * fraction) for n in (self.calls, self.input, self.output))
        return Calls(calls, read, written, self.largest)


class RequestCounter:
    """Counts what the judges of a panel would send."""

    def __init__(self) -> None:
        self._asked: dict[str, Calls] = defaultdict(Calls)
        self._stored: Counter[str] = Counter()

    def asked(self, judge: str, request: ChatRequest) -> None:
        """Count a request that a judge would send."""
        usage = most_tokens(request)
        self._asked[judge] += Calls(1, usage.input, usage.output, usage)

    def stored(self, judge: str) -> None:
        """Count a reply that a judge would find in the cache."""
        self._stored[judge] += 1

    def take(self) -> tuple[dict[str, Calls], int]:
        """Return the calls by judge and the number of cached replies, and reset the counts."""
        taken = dict(self._asked), self._stored.total()
        self._asked.clear()
        self._stored.clear()
        return taken


class CountedChat(ChatWrapper):
    """Counts requests without sending them.

    Args:
        inner: Makes the requests; is never asked.
        counter: Counts the requests.
        judge: Whose requests they are.
    """

    def __init__(self, inner: ChatModel, counter: RequestCounter, judge: str) -> None:
        super().__init__(inner)
        self._counter = counter
        self._judge = judge

    async def send(self, request: ChatRequest) -> ChatReply:
        """Count the request.

        Raises:
            UnusableError: Always; the judge handles it like a reply without a rating.
        """
        self._counter.asked(self._judge, request)
        raise UnusableError("counted, not sent", reply="", refused=False)
