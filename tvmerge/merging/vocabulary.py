"""Which rows of embeddings and head belong to the same token in three models.

Tokenizers are compared by their files alone. A token is known by its text; a special token which the others
write otherwise is known by its role (`bos_token`, `eos_token`, `unk_token`, `pad_token`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tvmerge.errors import CheckpointError
from tvmerge.merging.deltas import TokenRows
from tvmerge.merging.request import Vocabulary as Policy

ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a model.

    Attributes:
        name: What messages call the model.
        ids: Text of each token -> its number; None where there is no `tokenizer.json` to tell.
        roles: Role -> text of the token that plays it.
        rows: Number of rows of the embeddings; may be larger than the number of tokens, by padding.
    """

    name: str
    ids: Mapping[str, int] | None
    roles: Mapping[str, str]
    rows: int

    def row(self, text: str) -> int | None:
        """The row of a token; None where there is none."""
        number = (self.ids or {}).get(text)
        return number if number is not None and number < self.rows else None


@dataclass(frozen=True, slots=True)
class Matched:
    """What three vocabularies have in common.

    Attributes:
        rows: The rows of the tokens that all three have.
        by_role: The target's special tokens that were matched by their role.
        own: How many tokens of the target get nothing, since another model lacks them.
        padding: How many rows of the target belong to no token.
    """

    rows: TokenRows
    by_role: tuple[str, ...]
    own: int
    padding: int

    def __str__(self) -> str:
        roles = f", {', '.join(self.by_role)} by role" if self.by_role else ""
        padding = f", {self.padding} rows of padding" if self.padding else ""
        return f"{len(self.rows.target)} tokens shared{roles}; {self.own} of the target's own{padding}"


def read_vocabulary(folder: Path, name: str, rows: int) -> Vocabulary:
    """The vocabulary of the model in `folder`, whose embeddings have `rows` rows.

    Raises:
        CheckpointError: A tokenizer's file cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return Vocabulary(name, None, {}, rows)
    from tokenizers import Tokenizer

    try:
        ids = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    except Exception as error:  # the library raises plain Exception for whatever is wrong with a file
        raise CheckpointError(f"{path}: cannot be read as a tokenizer: {error}") from error
    return Vocabulary(name, ids, special_tokens(folder), rows)


def same_tokens(*vocabularies: Vocabulary) -> bool:
    """Whether all models number their tokens alike, as far as their files tell, and have as many rows."""
    known = [vocabulary.ids for vocabulary in vocabularies if vocabulary.ids is not None]
    return len({vocabulary.rows for vocabulary in vocabularies}) == 1 and all(
        ids == known[0] for ids in known
    )


def share_tokens(
    target: Vocabulary, base: Vocabulary, tuned: Vocabulary, policy: Policy
) -> Matched | Literal["skip"] | None:
    """What happens to embeddings and head: None where tokens are the same, so that rows are simply added.

    Raises:
        CheckpointError: Tokens differ, and the policy is `error` or they cannot be matched.
    """
    models = (target, base, tuned)
    if same_tokens(*models):
        return None
    if policy == "skip":
        return "skip"
    sizes = ", ".join(dict.fromkeys(f"{model.name} has {model.rows} rows" for model in models))
    if policy == "error":
        raise CheckpointError(f"tokens differ: {sizes}; pass --vocab align or --vocab skip")
    unknown = dict.fromkeys(model.name for model in models if model.ids is None)
    if unknown:
        raise CheckpointError(
            f"tokens differ ({sizes}), and without a tokenizer.json they cannot be matched: "
            f"{', '.join(unknown)} lacks one; save its tokenizer with transformers, or pass --vocab skip"
        )
    return match_tokens(target, base, tuned)


def match_tokens(target: Vocabulary, base: Vocabulary, tuned: Vocabulary) -> Matched:
    """Find the rows of tokens that all three models have.

    Raises:
        CheckpointError: They have no token in common.
    """
    roles = {text: role for role, text in target.roles.items()}
    found: list[tuple[int, int, int]] = []
    by_role: list[str] = []
    own = 0
    for text, number in sorted((target.ids or {}).items(), key=lambda item: item[1]):
        if number >= target.rows:
            continue
        pair = _pair(text, text, base, tuned)
        if pair is None and (role := roles.get(text)) is not None:
            pair = _pair(base.roles.get(role, text), tuned.roles.get(role, text), base, tuned)
            by_role += [text] if pair else []
        if pair is None:
            own += 1
        else:
            found.append((number, *pair))
    if not found:
        raise CheckpointError(
            f"{target.name}, {base.name} and {tuned.name} have no token in common; pass --vocab skip to "
            "leave embeddings and head alone"
        )
    columns = [list(column) for column in zip(*found, strict=True)]
    return Matched(TokenRows(*columns), tuple(by_role), own, target.rows - own - len(found))


def _pair(in_base: str, in_tuned: str, base: Vocabulary, tuned: Vocabulary) -> tuple[int, int] | None:
    rows = base.row(in_base), tuned.row(in_tuned)
    return None if rows[0] is None or rows[1] is None else (rows[0], rows[1])


def special_tokens(folder: Path) -> dict[str, str]:
    """Role -> text of the token that plays it, as the files of a tokenizer say.

    Raises:
        CheckpointError: One of them cannot be read.
    """
    roles: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / file
        if path.is_file():
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{path}: is not JSON: {error}") from error
            roles |= {role: text for role in ROLES if (text := _text(data.get(role))) is not None}
    return roles


def _text(token: Any) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
