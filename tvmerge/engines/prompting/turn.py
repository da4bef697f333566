"""A turn that is being generated, at once or, if thoughts have a separate limit, in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tvmerge.engines.prompting.conversation import Prompt
from tvmerge.engines.prompting.replies import Reply, ReplyReader
from tvmerge.records import Finish, Sampling

PIECE = 256
"""Number of tokens generated between two checks of whether the model still thinks."""


@dataclass(slots=True)
class Turn:
    """The reply to one prompt while it is generated.

    If `sampling.max_thinking_tokens` is set, a longer thought is closed, so that the model has to answer, and
    `sampling.max_new_tokens` counts from the answer's first token. Tokens beyond either limit are dropped, so
    pieces may be of any length.

    Attributes:
        prompt: The prompt.
        reader: Reads the reply.
        sampling: The sampling parameters.
        ids: The tokens so far, without the stop token.
        finish: Why generation ended; None while it continues.
    """

    prompt: Prompt
    reader: ReplyReader
    sampling: Sampling
    ids: list[int] = field(default_factory=list)
    finish: Finish | None = None
    _closed: bool = False

    @property
    def context(self) -> list[int]:
        """The token ids to continue from."""
        return [*self.prompt.ids, *self.ids]

    @property
    def limit(self) -> int:
        """Maximum number of tokens of the next piece."""
        left = self.prompt.limit - len(self.ids)
        if self.sampling.max_thinking_tokens is None:
            return left
        return min(left, max(PIECE, self.sampling.max_new_tokens))

    def take(self, ids: Sequence[int], finish: Finish) -> None:
        """Add the next piece and check whether the turn has ended.

        Args:
            ids: Its tokens, without the stop token.
            finish: Why it ended.
        """
        self.ids += ids
        self.finish = finish
        if (budget := self.sampling.max_thinking_tokens) is None or self.sampling.raw:
            return
        start = self.reader.answer_start(self.prompt.ids, self.ids)
        if not self._closed and (start is None or start > budget):
            self._think(budget, finish, open_still=start is None)
        elif start is not None:
            self._answer(start, finish)

    def reply(self) -> Reply:
        """Return the reply."""
        read = self.reader.read(self.prompt.ids, self.ids, self.finish or "length", self.sampling)
        return replace(read, tokens=len(self.ids))

    def _think(self, budget: int, finish: Finish, *, open_still: bool) -> None:
        """Close a thought that has reached its limit."""
        if len(self.ids) < budget and open_still:
            self.finish = finish if finish == "stop" or self._full else None
            return
        # The cut must not split a marker: the thought has to be open where it is closed.
        while (
            budget < len(self.ids) and self.reader.split_thoughts(self.prompt.ids, self.ids[:budget]).finished
        ):
            budget += 1
        del self.ids[budget:]
        self.ids += self.reader.closing(self.prompt.ids, self.ids)
        self._closed = True
        self.finish = "length" if self._full else None

    def _answer(self, start: int, finish: Finish) -> None:
        end = start + self.sampling.max_new_tokens
        if len(self.ids) >= end:
            del self.ids[end:]
            self.finish = "length"
        elif finish == "length" and not self._full:
            self.finish = None

    @property
    def _full(self) -> bool:
        return len(self.ids) >= self.prompt.limit
