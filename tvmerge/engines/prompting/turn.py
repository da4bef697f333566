"""A turn on its way: generated in one go, or in pieces where thoughts have a limit of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvmerge.engines.prompting.conversation import Prompt
from tvmerge.engines.prompting.replies import Reply, ReplyReader
from tvmerge.records import Finish, Sampling

PIECE = 256
"""Tokens generated between two looks at whether the model still thinks."""


@dataclass(slots=True)
class Turn:
    """What a model says to one prompt.

    Where `sampling.max_thinking_tokens` is set, a thought that grows longer is closed for the model, which
    then has to answer, and `sampling.max_new_tokens` counts from the answer's first token. What is beyond
    either limit is dropped, so pieces may be of any length.

    Attributes:
        prompt: What it is given.
        reader: Reads what it says.
        sampling: How it is asked.
        ids: What it said so far, without the end token.
        finish: Why it ended; None while it continues.
    """

    prompt: Prompt
    reader: ReplyReader
    sampling: Sampling
    ids: list[int] = field(default_factory=list)
    finish: Finish | None = None
    _closed: bool = False

    @property
    def context(self) -> list[int]:
        """Token ids to continue from."""
        return [*self.prompt.ids, *self.ids]

    @property
    def limit(self) -> int:
        """The most tokens of the next piece."""
        left = self.prompt.limit - len(self.ids)
        if self.sampling.max_thinking_tokens is None:
            return left
        return min(left, max(PIECE, self.sampling.max_new_tokens))

    def take(self, ids: Sequence[int], finish: Finish) -> None:
        """Take the next piece, and see whether the turn is at its end.

        Args:
            ids: Its tokens, without the end token.
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
        """What was said."""
        return self.reader.read(self.prompt.ids, self.ids, self.finish or "length", self.sampling)

    def _think(self, budget: int, finish: Finish, *, open_still: bool) -> None:
        """Close a thought that is as long as it may be."""
        if len(self.ids) < budget and open_still:
            self.finish = finish if finish == "stop" or self._full else None
            return
        # A mark is not cut: the thought has to be open where it is closed.
        while budget < len(self.ids) and self.reader.part(self.prompt.ids, self.ids[:budget]).finished:
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
