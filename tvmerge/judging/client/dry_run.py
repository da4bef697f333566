"""What a judge would send: counted and sized, and not sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.client.tokens import most_tokens


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one judge, and the most tokens they can take; added and multiplied field by field.

    Attributes:
        calls: How many.
        input: Tokens sent, at most.
        output: Tokens replied, at most.
    """

    calls: int = 0
    input: int = 0
    output: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(self.calls + other.calls, self.input + other.input, self.output + other.output)

    def __mul__(self, times: int) -> Calls:
        return Calls(self.calls * times, self.input * times, self.output * times)


class RequestCounter:
    """Counts what the judges of a panel would send."""

    def __init__(self) -> None:
        self._asked: dict[str, Calls] = defaultdict(Calls)
        self._stored: Counter[str] = Counter()

    def asked(self, judge: str, request: ChatRequest) -> None:
        """A judge would send `request`."""
        usage = most_tokens(request)
        self._asked[judge] += Calls(1, usage.input, usage.output)

    def stored(self, judge: str) -> None:
        """A judge would find its reply in the cache."""
        self._stored[judge] += 1

    def take(self) -> tuple[dict[str, Calls], int]:
        """By judge what it would send, and how many replies are stored; counting starts over."""
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
            UnusableError: Always; to the judge above it is a reply without a rating.
        """
        self._counter.asked(self._judge, request)
        raise UnusableError("counted, not sent", reply="", refused=False)
