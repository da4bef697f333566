"""The tokens that end an answer: what they are, and where that is said.

A number means a token in its own model only. So what a tuned model states is carried over by the tokens'
texts, and numbers are those of the target's tokenizer.
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
        id: Its number.
        text: What it is called in the tokenizer.
        named_by: Where it is said: `chat template`, a model's part in the merge, `--stop-token`.
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
        eos: What the tokenizer of a written model is to call its end of text; None: what it calls so now.
        remarks: What of the models and the template could not be followed, a line each.
    """

    tokens: tuple[StopToken, ...] = ()
    eos: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens' numbers."""
        return tuple(token.id for token in self.tokens)

    @property
    def texts(self) -> tuple[str, ...]:
        """What the tokens are called."""
        return tuple(token.text for token in self.tokens)

    @property
    def lines(self) -> tuple[str, ...]:
        """What people should know of them, a line each."""
        listed = ", ".join(map(str, self.tokens)) or "none are known, so answers end at --max-new-tokens"
        return (f"stop tokens: {listed}", *self.remarks)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StopTokens:
        """From what `as_json` gave, also after a way through JSON text."""
        tokens = (StopToken(**{**row, "named_by": tuple(row["named_by"])}) for row in data["tokens"])
        return cls(tuple(tokens), data["eos"], tuple(data["remarks"]))


@dataclass(frozen=True, slots=True)
class Speaker:
    """A model as one that knows where its answers end.

    Attributes:
        name: What it is called: its part in the merge.
        tokenizer: Its tokenizer.
        ids: Numbers of tokens, in that tokenizer, that it is known to stop at.
        unsure: Numbers that may be mere defaults: believed where they are no ordinary tokens.
    """

    name: str
    tokenizer: Any
    ids: tuple[int, ...]
    unsure: tuple[int, ...] = ()


def until_stop(tokens: Sequence[int], stops: Sequence[int]) -> tuple[list[int], bool]:
    """The tokens before the first of `stops`, and whether there is one."""
    for position, token in enumerate(tokens):
        if token in stops:
            return list(tokens[:position]), True
    return list(tokens), False


class Collector:
    """Gathers stop tokens of a target's tokenizer, each once.

    Args:
        tokenizer: The target's.
        name: What messages call the target.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self._named_by: dict[int, list[str]] = {}
        self.remarks: list[str] = []

    @property
    def tokens(self) -> tuple[StopToken, ...]:
        """What was gathered, in the order in which it came."""
        return tuple(
            StopToken(number, str(self._tokenizer.convert_ids_to_tokens(number)), tuple(names))
            for number, names in self._named_by.items()
        )

    def add(self, number: int, named_by: str) -> None:
        """Take a token by its number here."""
        names = self._named_by.setdefault(number, [])
        if named_by not in names:
            names.append(named_by)

    def add_text(self, text: str) -> None:
        """Take a token that the user gave.

        Raises:
            ConfigError: The target's tokenizer does not have it as one token.
        """
        number = token_number(self._tokenizer, text)
        if number is None:
            # A line break, say, which the vocabulary calls by another name.
            spelled = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(spelled) != 1 or self._tokenizer.decode(spelled) != text:
                raise ConfigError(f"--stop-token {text!r} is not one token in the tokenizer of {self._name}")
            number = int(spelled[0])
        self.add(number, "--stop-token")

    def add_speaker(self, speaker: Speaker) -> None:
        """Take what a model stops at, as far as the target has these tokens."""
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
    """The number of the token called `text`; None where there is none."""
    number = tokenizer.convert_tokens_to_ids(text)
    if number is None or tokenizer.convert_ids_to_tokens(number) != text:
        return None
    return int(number)


def is_special(tokenizer: Any, number: int) -> bool:
    """Whether a token is none of those that texts are made of."""
    return number in tokenizer.added_tokens_decoder or number in tokenizer.all_special_ids


def _text(tokenizer: Any, number: int) -> str | None:
    if number >= len(tokenizer):
        return None
    found = tokenizer.convert_ids_to_tokens(number)
    return None if found is None else str(found)
