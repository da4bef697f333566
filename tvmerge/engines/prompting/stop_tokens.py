"""The tokens that end an answer, and where each was found.

A token id is valid only in its own model. So the stop tokens of tuned models are mapped to the target's
tokenizer by their texts, and all ids are those of the target's tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tvmerge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StopToken:
    """A token that ends an answer.

    Attributes:
        id: Its id.
        text: Its text in the tokenizer.
        named_by: Where it was found: `chat template`, a model's part in the merge or `--stop-token`.
    """

    id: int
    text: str
    named_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text} ({', '.join(self.named_by)})"


@dataclass(frozen=True, slots=True)
class StopTokens:
    """The tokens that end an answer.

    Attributes:
        tokens: The tokens.
        eos: The eos token of a written model's tokenizer; None to keep the target's.
        remarks: What could not be taken from the models and the template, one line each.
    """

    tokens: tuple[StopToken, ...] = ()
    eos: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the tokens."""
        return tuple(token.id for token in self.tokens)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the tokens."""
        return tuple(token.text for token in self.tokens)

    @property
    def lines(self) -> tuple[str, ...]:
        """The remarks for the user, one line each."""
        listed = ", ".join(map(str, self.tokens)) or "none are known, so answers end at --max-new-tokens"
        return (f"stop tokens: {listed}", *self.remarks)

    def as_json(self) -> dict[str, Any]:
        """Return the tokens as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StopTokens:
        """Restore what `as_json` returned, also after a round trip through JSON."""
        tokens = (StopToken(**{**row, "named_by": tuple(row["named_by"])}) for row in data["tokens"])
        return cls(tuple(tokens), data["eos"], tuple(data["remarks"]))


@dataclass(frozen=True, slots=True)
class Speaker:
    """A model that knows its stop tokens.

    Attributes:
        name: Its part in the merge.
        tokenizer: Its tokenizer.
        ids: Ids of its stop tokens in that tokenizer.
        unsure: Ids that may be mere defaults; used only if they are special tokens.
    """

    name: str
    tokenizer: Any
    ids: tuple[int, ...]
    unsure: tuple[int, ...] = ()


def until_stop(tokens: Sequence[int], stops: Sequence[int]) -> tuple[list[int], bool]:
    """Return the tokens before the first of `stops`, and whether there is one."""
    for position, token in enumerate(tokens):
        if token in stops:
            return list(tokens[:position]), True
    return list(tokens), False


class Collector:
    """Collects stop tokens of the target's tokenizer without duplicates.

    Args:
        tokenizer: The target's tokenizer.
        name: The target's name in messages.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self._named_by: dict[int, list[str]] = {}
        self.remarks: list[str] = []

    @property
    def tokens(self) -> tuple[StopToken, ...]:
        """The collected tokens, in the order in which they were added."""
        return tuple(
            StopToken(number, str(self._tokenizer.convert_ids_to_tokens(number)), tuple(names))
            for number, names in self._named_by.items()
        )

    def add(self, number: int, named_by: str) -> None:
        """Add a token by its id in the target's tokenizer."""
        names = self._named_by.setdefault(number, [])
        if named_by not in names:
            names.append(named_by)

    def add_text(self, text: str) -> None:
        """Add a token that the user gave.

        Raises:
            ConfigError: It is not a single token of the target's tokenizer.
        """
        number = token_number(self._tokenizer, text)
        if number is None:
            # For example a line break, which has another name in the vocabulary.
            spelled = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(spelled) != 1 or self._tokenizer.decode(spelled) != text:
                raise ConfigError(
                    f"--stop-token {text!r} is not a single token of the tokenizer of {self._name}"
                )
            number = int(spelled[0])
        self.add(number, "--stop-token")

    def add_speaker(self, speaker: Speaker) -> None:
        """Add the stop tokens of a model, as far as the target has them."""
        texts = {_text(speaker.tokenizer, number): number for number in speaker.ids}
        for number in speaker.unsure:
            if is_special(speaker.tokenizer, number):
                texts.setdefault(_text(speaker.tokenizer, number), number)
        for text, number in texts.items():
            here = None if text is None else token_number(self._tokenizer, text)
            if here is not None:
                self.add(here, speaker.name)
            elif text is None:
                self.remarks.append(f"{speaker.name} stops at token {number}, which its tokenizer lacks")
            else:
                self.remarks.append(
                    f"{speaker.name} stops at {text!r}, which the tokenizer of {self._name} lacks: no answer "
                    "ends there"
                )


def token_number(tokenizer: Any, text: str) -> int | None:
    """Return the id of the token called `text`; None if there is none."""
    number = tokenizer.convert_tokens_to_ids(text)
    if number is None or tokenizer.convert_ids_to_tokens(number) != text:
        return None
    return int(number)


def is_special(tokenizer: Any, number: int) -> bool:
    """Return whether a token is a special token, which does not occur in ordinary text."""
    return number in tokenizer.added_tokens_decoder or number in tokenizer.all_special_ids


def _text(tokenizer: Any, number: int) -> str | None:
    if number >= len(tokenizer):
        return None
    found = tokenizer.convert_ids_to_tokens(number)
    return None if found is None else str(found)
