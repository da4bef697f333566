"""Converts the rows of a table to questions in FastChat's format."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.well_formed import is_well_formed
from tvmerge.errors import AssetError
from tvmerge.tasks.importing.roles import Role, Roles
from tvmerge.tasks.importing.tables import Table

CATEGORY = "general"
"""The category of questions from a table without one."""

_SPEAKERS = {
    **dict.fromkeys(("user", "human", "instruction"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "output"), "assistant"),
    "system": "system",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """Questions of a table.

    Attributes:
        questions: The questions, as lines of `question.jsonl`.
        notes: Notes about the conversion that the user should know, one line each.
    """

    questions: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def convert(table: Table, roles: Roles) -> Converted:
    """Convert a table to questions.

    Raises:
        AssetError: A question, a reference or a category is invalid; the message names file and row.
    """
    rows = [_Row(table, number, row, roles) for number, row in enumerate(table.rows, start=1)]
    asked = [(row, turns) for row, turns in ((row, row.turns()) for row in rows) if "".join(turns).strip()]
    if not asked:
        raise AssetError(f"{table.path}: no row has a question in {' and '.join(roles.columns['question'])}")
    ids, notes = _ids([row for row, _ in asked])
    if left_out := len(rows) - len(asked):
        notes.append(f"left out, because they have no question: {left_out} of {len(rows)} rows")
    if any(row.system for row, _ in asked):
        notes.append("system messages are put before the first turn")
    return Converted(tuple(_line(id_, *item) for id_, item in zip(ids, asked, strict=True)), tuple(notes))


def _line(id_: str | int, row: _Row, turns: Sequence[str]) -> dict[str, Any]:
    reference, aspect = row.references(), row.text("eval_aspect")
    return {
        "question_id": id_,
        "category": row.text("category") or CATEGORY,
        "turns": list(turns),
        **({"reference": reference} if any(text.strip() for text in reference) else {}),
        **({"eval_aspect": aspect} if aspect else {}),
        **({"split": row.data["split"]} if row.data.get("split") in {"search", "holdout"} else {}),
    }


def _ids(rows: Sequence[_Row]) -> tuple[list[str | int], list[str]]:
    """Return the ids of the questions (the table's, or else row numbers), and notes."""
    texts = [row.text("id") for row in rows]
    numbered: list[str | int] = [row.number for row in rows]
    if not any(texts):
        return numbered, []
    if not all(texts) or len(set(texts)) < len(texts):
        return numbered, ["ids are missing or occur twice, so questions are numbered by their rows"]
    if all(text.isascii() and text.isdecimal() and str(int(text)) == text for text in texts):
        return [int(text) for text in texts], []
    return list(texts), []


class _Row:
    """A row, with the roles of its columns."""

    def __init__(self, table: Table, number: int, data: Mapping[str, Any], roles: Roles) -> None:
        self.table, self.number, self.data, self._roles = table, number, data, roles
        self._said = dict(self._conversation())

    @property
    def system(self) -> str:
        """The system message, if the question is a conversation that has one."""
        return "\n\n".join(self._said.get("system", ()))

    def turns(self) -> tuple[str, ...]:
        """The user's messages."""
        if self._said:
            first, *later = self._said.get("user", [""])
            return (f"{self.system}\n\n{first}" if self.system else first, *later)
        texts = self._texts("question")
        context = _text(self.data.get(self._roles.context))
        if context and texts:
            texts = (f"{texts[0]}\n\n{context}", *texts[1:])
        while texts and not texts[-1].strip():
            texts = texts[:-1]  # the question has fewer turns than the table has columns for them
        return texts

    def references(self) -> list[str]:
        """Reference answers, one per turn."""
        if "reference" in self._roles.columns:
            return list(self._texts("reference"))
        return list(self._said.get("assistant", ()))

    def text(self, role: Role) -> str:
        """Return the text of a column, without surrounding white space."""
        (name,) = self._roles.columns.get(role, ("",))[:1]
        between = "\n" if role == "eval_aspect" else ", "
        return between.join(self._listed(role, self.data.get(name))).strip()

    def _texts(self, role: Role) -> tuple[str, ...]:
        names = self._roles.columns[role]
        return tuple(text for name in names for text in self._listed(role, self.data.get(name)))

    def _listed(self, role: Role, value: Any) -> list[str]:
        """Return a value as a list of texts; lists written as text are parsed."""
        if isinstance(value, str) and role in {"question", "reference"}:
            value = _written_list(value)
        if isinstance(value, list):
            if any(isinstance(item, list | dict) for item in value):
                raise self._error(role, value)
            texts = [_text(item) for item in value]
        elif isinstance(value, dict):
            raise self._error(role, value)
        else:
            texts = [_text(value)]
        return [self._sound(text) for text in texts]

    def _conversation(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the role and the texts of each message, if the question is a list of messages."""
        (name,) = self._roles.columns["question"][:1]
        messages = self.data.get(name)
        if isinstance(messages, str):
            messages = _written_list(messages)
        if not (isinstance(messages, list) and messages and all(isinstance(item, dict) for item in messages)):
            return
        said: dict[str, list[str]] = {}
        for message in messages:
            speaker = _SPEAKERS.get(str(message.get("role", message.get("from", ""))).casefold())
            text = message.get("content", message.get("value", message.get("text")))
            if speaker is None or not isinstance(text, str):
                raise self._error("question", message)
            said.setdefault(speaker, []).append(self._sound(text))
        yield from said.items()

    def _sound(self, text: str) -> str:
        """Return `text`, which must be encodable as UTF-8."""
        if not is_well_formed(text):
            raise AssetError(
                f"{self.table.path}, row {self.number}: half a surrogate pair is not a valid character"
            )
        return text

    def _error(self, role: Role, value: object) -> AssetError:
        what, flag = role.replace("_", " "), f"--{role.replace('_', '-')}-column"
        return AssetError(
            f"{self.table.path}, row {self.number}: the {what} is neither a text nor a list of texts: "
            f"{str(value)[:60]}; name another column with {flag}"
        )


def _text(value: Any) -> str:
    """Return a cell as text; missing values, however a table library represents them, are empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _written_list(text: str) -> Any:
    """Return the list that a text contains, in JSON or Python syntax, or else the text."""
    if not (text.startswith("[") and text.rstrip().endswith("]")):
        return text
    for read in (parse_json, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list) and value and all(isinstance(item, str | dict) for item in value):
            return value
    return text
