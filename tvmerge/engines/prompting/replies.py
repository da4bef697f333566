"""From the token ids of a turn to what was answered and what was thought before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.reasoning.thoughts import Marks, Parted, mentions_thoughts, part
from tvmerge.records import Finish, Sampling

PROMPT_END = 64
"""Tokens at the end of a prompt in which a thought may begin."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn of the model's.

    Attributes:
        text: The answer; empty where the thought before it was not finished.
        finish: Why it ended.
        thought: What the model thought before it answered; empty where it did not.
    """

    text: str
    finish: Finish
    thought: str = ""


class ReplyReader:
    """Reads the replies of one model.

    Thoughts are told by the text with its special tokens, since the marks of some models are such tokens;
    an answer is given without them.

    Args:
        chat: The target's tokenizer and chat template.
    """

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat

    @cached_property
    def thinks(self) -> bool:
        """Whether the model's template or vocabulary has marks for thoughts."""
        return mentions_thoughts((self._chat.identity, *self._added.values()), self._marks)

    def read(self, prompt: Sequence[int], ids: Sequence[int], finish: Finish, sampling: Sampling) -> Reply:
        """What was said in a turn.

        Args:
            prompt: Token ids the model was given.
            ids: Token ids it added, without the end token.
            finish: Why it stopped.
            sampling: How it was asked; text that continues with a raw one is left as it is.
        """
        if sampling.raw:
            return Reply(self._chat.decode(ids, sampling.stop, strip=False), finish)
        parted = self.part(prompt, ids)
        if not parted.finished:
            return Reply("", "thought", self._plain(parted.thought, ids))
        if parted.answer == self._text(ids):
            return Reply(self._chat.decode(ids, sampling.stop), finish)
        return Reply(self._plain(parted.answer, ids), finish, self._plain(parted.thought, ids))

    def part(self, prompt: Sequence[int], ids: Sequence[int]) -> Parted:
        """Thoughts and answer, with their special tokens."""
        return part(self._text(ids), self._text(prompt[-PROMPT_END:]), self._marks)

    def answer_start(self, prompt: Sequence[int], ids: Sequence[int]) -> int | None:
        """Number of tokens before the answer, marks included; None while the model thinks."""
        whole = self.part(prompt, ids)
        if not whole.finished:
            return None
        low, high = 0, len(ids) if whole.answer != self._text(ids) else 0
        while low < high:
            middle = (low + high) // 2
            parted = self.part(prompt, ids[:middle])
            begun = parted.finished and parted.ahead == whole.ahead
            low, high = (low, middle) if begun else (middle + 1, high)
        return low

    def closing(self, prompt: Sequence[int], ids: Sequence[int]) -> list[int]:
        """The tokens that end the thought the model is in."""
        closing = self.part(prompt, ids).closing
        tokens = self._chat.tokenizer(closing, add_special_tokens=False, verbose=False)
        return list(tokens["input_ids"])

    @cached_property
    def _added(self) -> Mapping[int, str]:
        """The tokens that were added to the vocabulary by their ids."""
        return {number: str(token) for number, token in self._chat.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _special(self) -> frozenset[int]:
        decoder = self._chat.tokenizer.added_tokens_decoder
        return frozenset({number for number, token in decoder.items() if token.special})

    @cached_property
    def _marks(self) -> tuple[Marks, ...]:
        """The marks that the tokenizer's own description of replies names, where it has one."""
        described = getattr(self._chat.tokenizer, "response_template", None)
        fields = described.get("fields") if isinstance(described, Mapping) else None
        found = (fields or {}).get("reasoning_content") or (fields or {}).get("thinking")
        match found:
            case {"open": str(opening), "close": str(closing)} if opening.strip() and closing.strip():
                return ((opening, closing),)
        return ()

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._chat.tokenizer.decode(list(ids), skip_special_tokens=False))

    def _plain(self, text: str, ids: Sequence[int]) -> str:
        """A part of what `ids` say, without their special tokens and outer space."""
        for special in self._special.intersection(ids):
            text = text.replace(self._added[special], "")
        return text.strip()
