"""Finds the role of each column of a table by its name and content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tvmerge.errors import ConfigError
from tvmerge.tasks.importing.tables import Table

Role = Literal["question", "reference", "eval_aspect", "category", "id"]
"""The roles of columns."""

ROLES: tuple[Role, ...] = get_args(Role)

_MAYBE_CATEGORIES = ("分野", "ジャンル", "genre", "subject", "domain", "topic", "科目", "task_type", "type")
_NAMES: Mapping[Role, tuple[str, ...]] = {
    "question": (
        *("turns", "question", "questions", "質問", "質問文", "設問", "問題", "問題文", "prompt", "prompts"),
        *("instruction", "指示", "input", "入力", "text", "query", "problem", "task", "タスク"),
        *("messages", "conversation", "conversations"),
    ),
    "reference": (
        *("reference", "references", "reference_answer", "ref_answer", "正解例", "模範解答", "参照回答"),
        *(
            "正解",
            "正答",
            "output",
            "出力",
            "answer",
            "answers",
            "解答",
            "答え",
            "回答",
            "gold",
            "target",
            "expected",
        ),
        *("expected_output", "ideal", "response"),
    ),
    "eval_aspect": (
        *("eval_aspect", "evaluation_aspect", "criteria", "criterion", "evaluation_criteria", "rubric"),
        *("grading_guideline", "評価観点", "評価の観点", "評価基準", "採点基準", "採点観点", "観点"),
    ),
    "category": (*("category", "categories", "カテゴリ", "カテゴリー", "分類", *_MAYBE_CATEGORIES),),
    "id": (
        *("question_id", "id", "qid", "q_id", "question_no", "番号", "問題番号", "質問番号", "no", "number"),
        *("index", "idx", "row_id", "sample_id", "example_id"),
    ),
}
_TAKEN_FOR_ANSWERS = ("model_answer", "pred", "prediction", "output_pred", "model_output", "score")


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of a table's columns.

    Attributes:
        columns: Columns by role. Several columns of a question or a reference are its turns.
        context: A column that continues the question, as `input` continues `instruction`; may be empty.
        passed_over: Columns without a role.
    """

    columns: Mapping[Role, tuple[str, ...]]
    context: str = ""
    passed_over: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[str]:
        """Yield a line about each role."""
        for role, names in self.columns.items():
            shown = " and ".join(f"'{name}'" for name in names)
            after = f", continued by '{self.context}'" if role == "question" and self.context else ""
            yield f"{role.replace('_', ' ')}: column {shown}{after}"
        if self.passed_over:
            yield f"passed over: {', '.join(self.passed_over)}"


def find_roles(table: Table, given: Mapping[Role, Sequence[str]]) -> Roles:
    """Find the roles of a table's columns.

    Args:
        table: The table.
        given: The columns that the user named, by role; an empty name means that there is none.

    Raises:
        ConfigError: A named column does not exist, or no column looks like a question.
    """
    found: dict[Role, tuple[str, ...]] = {}
    for role, names in given.items():
        found[role] = tuple(name for name in names if name)
        if unknown := [name for name in found[role] if name not in table.columns]:
            raise ConfigError(
                f"--{role.replace('_', '-')}-column: {table.path} has no column '{unknown[0]}'; it has: "
                f"{', '.join(table.columns)}"
            )
    context = ""
    for role in ROLES:
        if role not in found:
            taken = {name for names in found.values() for name in names}
            free = [name for name in table.columns if name not in taken]
            found[role] = _by_name(role, free, table)
            if role == "question":
                found[role] = found[role] or _by_content(free, table)
                context = _context(found[role], free)
    if not found["question"]:
        raise ConfigError(
            f"{table.path}: no column looks like a question; say which with --question-column: "
            f"{', '.join(table.columns)}"
        )
    used = {context, *(name for names in found.values() for name in names)}
    return Roles(
        columns={role: found[role] for role in ROLES if found[role]},
        context=context,
        passed_over=tuple(name for name in table.columns if name not in used),
    )


def _by_name(role: Role, free: Sequence[str], table: Table) -> tuple[str, ...]:
    """Return the column with the best-known name for a role and suitable content, or numbered ones."""
    plain = {_plain(name): name for name in reversed(free)}
    for known in map(_plain, _NAMES[role]):
        if known in plain and _may_be(role, plain[known], table):
            return (plain[known],)
        if role in {"question", "reference"} and (numbered := _numbered(known, plain)):
            return numbered
    return ()


def _numbered(known: str, plain: Mapping[str, str]) -> tuple[str, ...]:
    """Return columns such as `question_1` and `question_2` in order, if there are at least two."""
    singular = known.removesuffix("s")
    pattern = re.compile(rf"{re.escape(singular)}([0-9]+)")
    matched = sorted((int(match[1]), plain[name]) for name in plain if (match := pattern.fullmatch(name)))
    return tuple(name for _, name in matched) if len(matched) > 1 else ()


def _may_be(role: Role, name: str, table: Table) -> bool:
    filled = [row[name] for row in table.rows if row.get(name) not in (None, "", [])]
    if not filled:
        return False
    if role == "category" and _plain(name) in map(_plain, _MAYBE_CATEGORIES):
        # A different value for each question is a title, not a category.
        return len(filled) < 3 or len(set(map(str, filled))) < len(filled)
    return True


def _by_content(free: Sequence[str], table: Table) -> tuple[str, ...]:
    """Return the only column whose texts differ in each row and are longer than words."""
    names = [name for name in free if _plain(name) not in map(_plain, _not_questions())]
    texts = {
        name: [row.get(name) for row in table.rows]
        for name in names
        if all(isinstance(row.get(name), str) and row[name].strip() for row in table.rows)
    }
    long = [
        name
        for name, values in texts.items()
        if len({*map(str, values)}) == len(values) and sum(len(str(v)) for v in values) >= 8 * len(values)
    ]
    return (long[0],) if len(long) == 1 else ()


def _not_questions() -> Iterable[str]:
    others = (name for role, names in _NAMES.items() if role != "question" for name in names)
    return (*others, *_TAKEN_FOR_ANSWERS)


def _context(question: Sequence[str], free: Sequence[str]) -> str:
    """Return the column `input` if the question is in `instruction`."""
    if len(question) != 1 or _plain(question[0]) not in {"instruction", "指示"}:
        return ""
    return next((name for name in free if _plain(name) in {"input", "入力"}), "")


def _plain(name: Any) -> str:
    """Normalise a name: ignore case, character width, spaces and dashes."""
    return re.sub(r"[\s_\-.]+", "", unicodedata.normalize("NFKC", str(name)).casefold())
