"""Matches the rows of embeddings and head that belong to the same token in three models.

Tokens are matched by text. Special tokens with other texts are matched by role (`bos_token`, `eos_token`,
`unk_token`, `pad_token`), and renamed reserved tokens by id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tvmerge.errors import CheckpointError
from tvmerge.merging.deltas import TokenRows
from tvmerge.merging.remarks import Remark
from tvmerge.merging.request import Vocabulary as Policy
from tvmerge.pretrained.tokens import ROLES, Tokens, read_tokens

_BRACKETED = re.compile(r"<.+>|\[.+\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a model.

    Attributes:
        name: The model's name in messages.
        ids: The tokens' ids by text; None if there is no readable tokenizer.
        roles: The special tokens' texts by role.
        rows: Number of rows of the embeddings, which may be padded beyond the number of tokens.
        special: Texts of special and added tokens.
        problem: Why the tokenizer cannot be read; empty if it can or if there is none.
    """

    name: str
    ids: Mapping[str, int] | None
    roles: Mapping[str, str]
    rows: int
    special: AbstractSet[str] = frozenset()
    problem: str = ""

    @property
    def numbers(self) -> dict[str, int]:
        """The rows of tokens by text, in order of the rows."""
        known = {text: number for text, number in (self.ids or {}).items() if number < self.rows}
        return dict(sorted(known.items(), key=lambda item: item[1]))


@dataclass(frozen=True, slots=True)
class Matched:
    """The matched tokens of three vocabularies.

    Attributes:
        rows: The rows of the tokens that all three have.
        by_role: The target's special tokens that were matched by role.
        renamed: The other models' names of tokens, by the target's names.
        own: The target's tokens to which nothing is added, since another model lacks them.
        lost: The tuned model's tokens whose changes are lost, since another model lacks them.
        padding: Number of rows of the target without a token.
    """

    rows: TokenRows
    by_role: tuple[str, ...]
    renamed: Mapping[str, str]
    own: tuple[str, ...]
    lost: tuple[str, ...]
    padding: int

    def remarks(self, tuned: str) -> tuple[Remark, ...]:
        """Return remarks; `tuned` is the name of the tuned model."""
        roles = f", {', '.join(map(_printed, self.by_role))} by role" if self.by_role else ""
        padding = f", {self.padding} rows of padding" if self.padding else ""
        shared = f"{len(self.rows.target)} tokens shared{roles}"
        renamed = [f"{_printed(own)} (elsewhere {_printed(other)})" for own, other in self.renamed.items()]
        lists = {
            "are shared by number, since their names differ": renamed,
            f"get nothing of {tuned}, since not all models have them": map(_printed, self.own),
            f"{tuned} has and that go nowhere, since not all models have them": map(_printed, self.lost),
        }
        found = [Remark(f"tokens: {tuned}: {shared}; {len(self.own)} of the target's own{padding}")]
        for what, names in lists.items():
            if listed := tuple(names):
                found.append(Remark(f"tokens that {what}", listed))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Embeddings of equal size, of models that do not all have a tokenizer.

    Attributes:
        models: Names of the models without a tokenizer.
    """

    models: tuple[str, ...]

    def remarks(self, tuned: str) -> tuple[Remark, ...]:
        """Return remarks; `tuned` is the name of the tuned model."""
        text = f"tokens: {tuned}: taken to be numbered alike, though without a tokenizer"
        return (Remark(text, self.models),)


Shared = Matched | Unchecked | Literal["skip"] | None
"""What happens to embeddings and head; None if tokens are the same, so that rows are simply added."""


def read_vocabulary(folder: Path, name: str, rows: int, *, trust_remote_code: bool = False) -> Vocabulary:
    """Read the vocabulary of the model in `folder`, with transformers' ids.

    Args:
        folder: A model's folder.
        name: Its name in messages.
        rows: Number of rows of its embeddings.
        trust_remote_code: Whether its tokenizer may run code from its files.
    """
    return vocabulary_of(read_tokens(folder, name, trust_remote_code=trust_remote_code), name, rows)


def vocabulary_of(tokens: Tokens, name: str, rows: int) -> Vocabulary:
    """Return the vocabulary of a model with these tokens; see `read_vocabulary`."""
    return Vocabulary(name, tokens.ids, tokens.roles, rows, tokens.special, tokens.problem)


def same_tokens(*vocabularies: Vocabulary) -> bool:
    """Return whether all models have the same token ids and numbers of rows, judging by their files.

    Models without a tokenizer are ignored; if a tokenizer cannot be read, the result is False.
    """
    known = [vocabulary.numbers for vocabulary in vocabularies if vocabulary.ids is not None]
    return (
        len({vocabulary.rows for vocabulary in vocabularies}) == 1
        and not any(vocabulary.problem for vocabulary in vocabularies)
        and all(numbers == known[0] for numbers in known)
    )


def share_tokens(target: Vocabulary, base: Vocabulary, tuned: Vocabulary, policy: Policy) -> Shared:
    """Decide what happens to embeddings and head.

    Raises:
        CheckpointError: Tokens differ, and the policy is `error` or they cannot be matched; or a tokenizer
            cannot be read, so that it is unknown.
    """
    models = (target, base, tuned)
    unknown = tuple(dict.fromkeys(model.name for model in models if model.ids is None))
    if same_tokens(*models):
        return Unchecked(unknown) if unknown else None
    if policy == "skip":
        return "skip"
    if problems := dict.fromkeys(model.problem for model in models if model.problem):
        raise CheckpointError(
            f"cannot check whether the models have the same token ids: {'; '.join(problems)}; --vocab "
            "skip leaves embeddings and head alone"
        )
    sizes = ", ".join(dict.fromkeys(f"{model.name} has {model.rows} rows" for model in models))
    if policy == "error":
        raise CheckpointError(f"tokens differ: {sizes}; pass --vocab align or --vocab skip")
    if unknown:
        raise CheckpointError(
            f"tokens differ ({sizes}), and without a tokenizer they cannot be matched: {', '.join(unknown)} "
            "lacks one; copy the files of its tokenizer there, or pass --vocab skip"
        )
    return match_tokens(target, base, tuned)


def match_tokens(target: Vocabulary, base: Vocabulary, tuned: Vocabulary) -> Matched:
    """Find the rows of tokens that all three models have.

    Raises:
        CheckpointError: They have no token in common.
    """
    own, old, new = target.numbers, base.numbers, tuned.numbers
    found = {text: (old[text], new[text]) for text in own if text in old and text in new}
    renamed = {}
    for reserved, given in _renamed(old, new, base.special):
        name = given if given in own else reserved
        if name in own:
            found[name] = (old[reserved], new[given])
            renamed[name] = reserved if name == given else given
    by_role = []
    for name, played in _roles(target, base, tuned):
        # A token's delta is added to the token of the same text, or else of the same role.
        if name in own and played in old and played in new and name not in found and played not in found:
            found[name] = (old[played], new[played])
            by_role.append(name)
    if not found:
        raise CheckpointError(
            f"{target.name}, {base.name} and {tuned.name} have no token in common; pass --vocab skip to "
            "leave embeddings and head alone"
        )
    # By row, so that a row with two texts is merged once.
    merged = {number: found[text] for text, number in own.items() if text in found}
    used = {row for _, row in merged.values()}
    columns = zip(*((number, *pair) for number, pair in merged.items()), strict=True)
    return Matched(
        TokenRows(*map(list, columns)),
        tuple(by_role),
        renamed,
        own=tuple(text for text, number in own.items() if number not in merged),
        lost=tuple(text for text, number in new.items() if number not in used),
        padding=target.rows - len(set(own.values())),
    )


def _renamed(
    old: Mapping[str, int], new: Mapping[str, int], special: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
    """Return the base's and the tuned model's names of reserved tokens that were renamed in the tuned model.

    All tokens must keep their rows.
    """
    if any(new.get(text, number) != number for text, number in old.items()):
        return
    at = {number: text for text, number in new.items()}
    for reserved, number in old.items():
        given = at.get(number)
        if given is None or given in old or reserved in new:
            continue
        if reserved in special or _BRACKETED.fullmatch(reserved):
            yield reserved, given


def _roles(target: Vocabulary, base: Vocabulary, tuned: Vocabulary) -> Iterator[tuple[str, str]]:
    """Return the target's token of each role, and the token of that role in both base and tuned model."""
    taken: set[str] = set()
    for role in ROLES:
        name, played = target.roles.get(role), base.roles.get(role)
        if name and played and tuned.roles.get(role) == played and not {name, played} & taken:
            taken |= {name, played}
            yield name, played


def _printed(text: str) -> str:
    return text if text.isprintable() and text.strip() else ascii(text)
