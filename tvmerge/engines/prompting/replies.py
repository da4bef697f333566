"""Splits the token ids of a turn into the thought and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.reasoning.thoughts import Marks, SplitText, mentions_thoughts, split_thoughts
from tvmerge.records import Finish, Sampling

PROMPT_END = 64
"""Number of tokens at the end of a prompt in which a thought may begin."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's reply in one turn.

    Attributes:
        text: The answer; empty if the thought before it was not finished.
        finish: Why generation ended.
        thought: The thought before the answer; empty if there was none.
        tokens: Number of tokens generated.
    """

    text: str
    finish: Finish
    thought: str = ""
    tokens: int = field(default=0, compare=False)


class ReplyReader:
    """Reads the replies of one model.

    Thoughts are detected in the text with its special tokens, since some models mark thoughts by such tokens.
    Answers are returned without special tokens.

    Args:
        chat: The target's tokenizer and chat template.
    """

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat

    @cached_property
    def thinks(self) -> bool:
        """Whether the model's template or vocabulary has markers for thoughts."""
        return mentions_thoughts((self._chat.identity, *self._added.values()), self._marks)

    def read(self, prompt: Sequence[int], ids: Sequence[int], finish: Finish, sampling: Sampling) -> Reply:
        """Return the reply of a turn.

        Args:
            prompt: Token ids of the prompt.
            ids: Generated token ids, without the stop token.
            finish: Why generation ended.
            sampling: The sampling parameters; the continuation of a raw text is not split.
        """
        if sampling.raw:
            return Reply(self._chat.decode(ids, sampling.stop, strip=False), finish)
        parted = self.split_thoughts(prompt, ids)
        if not parted.finished:
            return Reply("", "thought", self._plain(parted.thought, ids))
        if parted.answer == self._text(ids):
            return Reply(self._chat.decode(ids, sampling.stop), finish)
        return Reply(self._plain(parted.answer, ids), finish, self._plain(parted.thought, ids))

    def split_thoughts(self, prompt: Sequence[int], ids: Sequence[int]) -> SplitText:
        """Return thought and answer, with their special tokens."""
        return split_thoughts(self._text(ids), self._text(prompt[-PROMPT_END:]), self._marks)

    def answer_start(self, prompt: Sequence[int], ids: Sequence[int]) -> int | None:
        """Return the number of tokens before the answer, including markers; None during a thought."""
        whole = self.split_thoughts(prompt, ids)
        if not whole.finished:
            return None
        low, high = 0, len(ids) if whole.answer != self._text(ids) else 0
        while low < high:
            middle = (low + high) // 2
            parted = self.split_thoughts(prompt, ids[:middle])
            begun = parted.finished and parted.ahead == whole.ahead
            low, high = (low, middle) if begun else (middle + 1, high)
        return low

    def closing(self, prompt: Sequence[int], ids: Sequence[int]) -> list[int]:
        """Return the tokens that close the current thought."""
        closing = self.split_thoughts(prompt, ids).closing
        tokens = self._chat.tokenizer(closing, add_special_tokens=False, verbose=False)
        return list(tokens["input_ids"])

    @cached_property
    def _added(self) -> Mapping[int, str]:
        """Return the tokens that were added to the vocabulary, by their ids."""
        return {number: str(token) for number, token in self._chat.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _special(self) -> frozenset[int]:
        decoder = self._chat.tokenizer.added_tokens_decoder
        return frozenset({number for number, token in decoder.items() if token.special})

    @cached_property
    def _marks(self) -> tuple[Marks, ...]:
        """Return the markers in the tokenizer's response schema, if it has one."""
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
        """Return a part of the text of `ids` without special tokens and outer whitespace."""
        for special in self._special.intersection(ids):
            text = text.replace(self._added[special], "")
        return text.strip()
