"""A benchmark is any folder that holds a `question.jsonl` in FastChat's format.

* `question.jsonl`: question_id, category, turns; optional reference, eval_aspect and split
* `benchmark.toml` (optional): description, temperatures, categories with references
* `reference_answer/<judge>.jsonl` (optional): reference answers in FastChat's model_answer format
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast, get_args

from tvmerge._util.canonical import digest
from tvmerge._util.files import read_jsonl
from tvmerge._util.real_path import real_path
from tvmerge.errors import AssetError
from tvmerge.records import Question, QuestionId, Split
from tvmerge.tasks.fastchat.benchmark_toml import BenchmarkSettings, read_settings
from tvmerge.tasks.fastchat.files import read_references
from tvmerge.tasks.fastchat.rows import Row

References = Mapping[str, tuple[str, ...]]
"""Reference turns by question id as text."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: questions, and how they are asked and judged.

    Attributes:
        name: The folder's name.
        folder: The folder.
        questions: The questions in the file's order, with the references for the chosen judge.
        settings: The settings in `benchmark.toml`.
        without_reference: Questions of a reference category that are judged without a reference because they
            have none.
        stated: The questions as in `question.jsonl`.
        references: Reference answers by the judge model they were made for.
    """

    name: str
    folder: Path
    questions: tuple[Question, ...]
    settings: BenchmarkSettings
    without_reference: tuple[QuestionId, ...]
    stated: tuple[Question, ...]
    references: Mapping[str, References]

    @property
    def digest(self) -> str:
        """Digest of everything that affects answers and ratings, so without name and description."""
        return digest(
            {
                "questions": [
                    [
                        item.question_id,
                        item.category,
                        list(item.turns),
                        list(item.reference),
                        item.needs_reference,
                        item.split,
                        *filter(None, (item.eval_aspect,)),
                    ]
                    for item in self.questions
                ],
                "temperatures": dict(self.settings.temperatures),
                "default_temperature": self.settings.default_temperature,
                "japanese_exempt": list(self.settings.japanese_exempt),
            }
        )

    def for_judge(self, judge_model: str, reference: str | None = None) -> Benchmark:
        """Return this benchmark with the references for a judge model.

        They come from `reference_answer/<judge model>.jsonl`, else from the only file there, else from the
        question's own `reference`. A name like `openai/gpt-4` also finds `gpt-4.jsonl`.

        Args:
            judge_model: The judge model.
            reference: Name of the file of references to use instead, if the benchmark has any.

        Raises:
            AssetError: The benchmark has files of references, but none with this name.
        """
        categories = frozenset(self.settings.reference_categories)
        made = self._made(judge_model, reference)
        questions = tuple(_with_reference(question, categories, made) for question in self.stated)
        missing = tuple(
            question.question_id
            for question in questions
            if question.category in categories and not question.needs_reference
        )
        return replace(self, questions=questions, without_reference=missing)

    def first_turns(self, most: int) -> Benchmark:
        """Return this benchmark with at most the first `most` turns of each question."""
        cut = (replace(question, turns=question.turns[:most]) for question in self.stated)
        shown = (replace(question, turns=question.turns[:most]) for question in self.questions)
        return replace(self, stated=tuple(cut), questions=tuple(shown))

    def _made(self, judge_model: str, reference: str | None) -> References:
        if reference is None or not self.references:
            return _references_for(judge_model, self.references)
        name = reference.removesuffix(".jsonl")
        if name not in self.references:
            raise AssetError(
                f"--reference {reference}: {self.folder / 'reference_answer'} has no such file; it has: "
                f"{', '.join(self.references)}"
            )
        return self.references[name]


def load_benchmark(folder: Path) -> Benchmark:
    """Read a benchmark folder, with the references for a judge without its own file.

    Raises:
        AssetError: A file is missing or malformed; the message names file and line.
    """
    stated = _read_questions(folder / "question.jsonl")
    references = {
        path.stem: read_references(path) for path in sorted((folder / "reference_answer").glob("*.jsonl"))
    }
    benchmark = Benchmark(
        name=real_path(folder).name,
        folder=folder,
        questions=stated,
        settings=read_settings(folder / "benchmark.toml"),
        without_reference=(),
        stated=stated,
        references=references,
    )
    return benchmark.for_judge("")


def _references_for(judge_model: str, references: Mapping[str, References]) -> References:
    for name in (judge_model, PurePosixPath(judge_model).name):
        if name in references:
            return references[name]
    return next(iter(references.values())) if len(references) == 1 else {}


def _with_reference(question: Question, categories: frozenset[str], made: References) -> Question:
    if question.category not in categories and not question.eval_aspect:
        return question
    reference = made.get(str(question.question_id), question.reference)
    return replace(
        question, reference=reference, needs_reference=bool(reference) or bool(question.eval_aspect)
    )


def _read_questions(path: Path) -> tuple[Question, ...]:
    rows = [Row(path, line, data) for line, data in read_jsonl(path)]
    if not rows:
        raise AssetError(f"{path}: contains no questions; write one JSON object per line")
    return tuple(_unique(rows))


def _unique(rows: list[Row]) -> Iterator[Question]:
    """Yield each row's question; ids with the same text (1 and "1") count as equal."""
    first: dict[str, int] = {}
    for row in rows:
        question = _question(row)
        key = str(question.question_id)
        if key in first:
            raise row.error(f"question_id {key} is already used in line {first[key]}; give each its own")
        first[key] = row.line
        yield question


def _question(row: Row) -> Question:
    return Question(
        question_id=row.question_id(),
        category=_category(row),
        turns=_turns(row),
        reference=_reference(row),
        split=_split(row),
        eval_aspect=row.as_text("eval_aspect", row.data.get("eval_aspect") or ""),
    )


def _category(row: Row) -> str:
    category = row.text("category")
    if not category.strip():
        raise row.error("'category' is blank")
    return category


def _turns(row: Row) -> tuple[str, ...]:
    turns = row.as_texts("turns", row.required("turns"))
    if not turns:
        raise row.error("'turns' is empty; a question needs at least one turn")
    for number, turn in enumerate(turns, start=1):
        if not turn.strip():
            raise row.error(f"turn {number} is blank")
    return turns


def _reference(row: Row) -> tuple[str, ...]:
    value = row.data.get("reference")
    if value is None:
        return ()
    texts = (row.as_text("reference", value),) if isinstance(value, str) else row.as_texts("reference", value)
    # Exported tables have empty texts for missing references.
    return texts if any(text.strip() for text in texts) else ()


def _split(row: Row) -> Split | None:
    value = row.data.get("split")
    if value is not None and value not in get_args(Split):
        raise row.error(f'\'split\' must be "search" or "holdout", got {value!r}')
    return cast("Split | None", value)
