"""Reads the tokens of a model's tokenizer as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tvmerge.errors import CheckpointError
from tvmerge.pretrained.tokenizer import FAST, TEKKEN, load_tokenizer, marked_tokens, vocabulary_files

ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a model, as transformers numbers them.

    Attributes:
        ids: Text of each token -> its number; None without a tokenizer, or with one that cannot be read.
        roles: Role -> text of the token that plays it.
        special: Texts of special and of added tokens.
        problem: Why the tokenizer cannot be read; empty if it can, or if there is none.
    """

    ids: Mapping[str, int] | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    special: AbstractSet[str] = frozenset()
    problem: str = ""


def read_tokens(folder: Path, name: str, *, trust_remote_code: bool = False) -> Tokens:
    """Read the tokens of the model in `folder`.

    Args:
        folder: The model's folder.
        name: The model's name in messages.
        trust_remote_code: Whether its tokenizer may bring its own code.
    """
    if not vocabulary_files(folder):
        return Tokens()
    try:
        tokenizer = _load(folder, name, trust_remote_code=trust_remote_code)
    except CheckpointError as error:
        return Tokens(problem=str(error))
    return Tokens(
        ids={_text(token): number for token, number in tokenizer.get_vocab().items()},
        roles={role: str(text) for role in ROLES if (text := getattr(tokenizer, role, None))},
        special=frozenset(map(_text, marked_tokens(tokenizer))),
    )


def _load(folder: Path, name: str, *, trust_remote_code: bool) -> Any:
    # mistral-common's own class writes tokens otherwise than the same tokens stand in a tokenizer.json.
    if (folder / TEKKEN).is_file():
        return load_tokenizer(folder, name, generic=True)
    try:
        return load_tokenizer(folder, name, trust_remote_code=trust_remote_code)
    except CheckpointError:
        # Code that is not trusted, a class that this transformers lacks: the file has the same tokens.
        if not (folder / FAST).is_file():
            raise
        return load_tokenizer(folder, name, generic=True)


def _text(token: object) -> str:
    """Return a token's text; of one in bytes, as tiktoken has them, its name in a `tokenizer.json`."""
    if not isinstance(token, bytes):
        return str(token)
    library: Any = import_module("transformers.convert_slow_tokenizer")
    names: Mapping[int, str] = library.bytes_to_unicode()
    return "".join(names[byte] for byte in token)
