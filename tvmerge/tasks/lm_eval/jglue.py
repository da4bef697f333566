"""JGLUE: the names of its tasks, and its files as published.

The files are those of github.com/yahoojapan/JGLUE (Kurihara et al., LREC 2022): `jcommonsenseqa-*`, `jnli-*`
and `marc_ja-*` with one JSON object per line, `jsquad-*` in SQuAD's format. MARC-ja is no longer
distributed, but users who have its files can use them.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tvmerge._util.files import read_jsonl
from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import read_utf8
from tvmerge.errors import AssetError, ConfigError
from tvmerge.tasks.lm_eval.requests import TaskRequest

Document = dict[str, Any]

TASKS = {name: f"ja_leaderboard_{name}" for name in ("jcommonsenseqa", "jnli", "jsquad", "marc_ja")}
"""Maps JGLUE's names to lm-eval's."""

LABELS = {
    "jnli": ("entailment", "contradiction", "neutral"),
    "marc_ja": ("positive", "negative"),
}
"""Labels in the order of the choices in lm-eval's tasks."""

ORIGINAL = re.compile(r"(jcommonsenseqa|jnli|jsquad|marc_ja)-[\d.]+-[\d.]+")
"""A name with the versions of task and prompt, as in the JP Language Model Evaluation Harness."""

DEFAULT = ("jcommonsenseqa-1.1-0.3", "marc_ja-1.1-0.2", "jnli-1.3-0.2", "jsquad-1.1-0.2")
"""The tasks of the original scripts, in their order."""

ORIGINAL_FEWSHOT = 3
"""Number of examples in the prompts of tasks with such a name, as in the original scripts."""

ORIGINAL_LIMIT = 500
"""Default number of documents per task, as in the original scripts."""


def resolve(request: TaskRequest) -> TaskRequest:
    """Return the request with lm-eval's name of the task.

    Raises:
        ConfigError: JGLUE has no such task.
    """
    if request.name in TASKS.values():
        return request
    original = ORIGINAL.fullmatch(request.name)
    name = original[1] if original else request.name
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1) or list(TASKS)
        raise ConfigError(f"JGLUE has no task '{request.name}'; did you mean {', '.join(near)}?")
    shots = ORIGINAL_FEWSHOT if original and request.num_fewshot is None else request.num_fewshot
    return replace(request, name=TASKS[name], num_fewshot=shots)


def short(name: str) -> str:
    """Return JGLUE's own name of a task, given the name in the original scripts."""
    return name.partition("-")[0]


def found(folder: Path) -> list[str]:
    """Return JGLUE's tasks whose validation files are in `folder`.

    Raises:
        AssetError: There are none.
    """
    names = [name for name in TASKS if _file(folder, name, "valid") is not None]
    if not names:
        raise AssetError(f"{folder}: holds no file of JGLUE such as jnli-valid-v1.3.json")
    return names


def read_splits(folder: Path, task: str, examples: int) -> dict[str, list[Document]]:
    """Return the documents of a task, by split, in the format of the hub's data set.

    Without a training file, `examples` documents of the validation set become the examples of all prompts
    and are not asked: the first ones, with their labels taking turns.

    Args:
        folder: The folder with JGLUE's files.
        task: lm-eval's name of the task, one of the values of `TASKS`.
        examples: Number of examples in each prompt.

    Returns:
        `train` and `validation`.

    Raises:
        AssetError: A file, named in the message, is missing or malformed.
    """
    name = task.removeprefix("ja_leaderboard_")
    valid = _file(folder, name, "valid")
    if valid is None:
        remedy = "put JGLUE's file there, or leave the task out (--jglue-tasks)"
        if name == "marc_ja":
            remedy = "MARC-ja is no longer distributed, leave it out"
        raise AssetError(f"{folder}: {name}-valid-*.json is missing; {remedy}")
    train = _file(folder, name, "train")
    documents = _read(valid, name)
    if train is not None:
        return {"train": _read(train, name), "validation": documents}
    if len(documents) <= examples:
        raise AssetError(
            f"{valid}: {len(documents)} documents are not enough for {examples} examples and a question; "
            "lower --num-fewshot"
        )
    chosen = _examples(documents, examples)
    return {
        "train": [documents[index] for index in chosen],
        "validation": [document for index, document in enumerate(documents) if index not in chosen],
    }


def _file(folder: Path, name: str, split: str) -> Path | None:
    """Return the newest version of a file, according to its name."""
    return max(folder.glob(f"{name}-{split}-*.json"), default=None)


def _examples(documents: Sequence[Document], count: int) -> list[int]:
    """Return the indices of the first documents, with labels taking turns."""
    seen: Counter[Any] = Counter()
    turns: list[tuple[int, int]] = []
    for index, document in enumerate(documents):
        turns.append((seen[document.get("label")], index))
        seen[document.get("label")] += 1
    return [index for _, index in sorted(turns)[:count]]


def _read(path: Path, name: str) -> list[Document]:
    if name == "jsquad":
        return list(_squad(path))
    labels = LABELS.get(name)
    return [_labelled(path, line, row, labels) for line, row in read_jsonl(path)]


def _labelled(path: Path, line: int, row: Mapping[str, Any], labels: Sequence[str] | None) -> Document:
    """Return a row with its label as a number."""
    label = row.get("label")
    if labels is None:
        if not isinstance(label, int):
            raise AssetError(f"{path}:{line}: 'label' must be the number of a choice, got {label!r}")
        return dict(row)
    if label not in labels:
        raise AssetError(f"{path}:{line}: 'label' must be one of {', '.join(labels)}, got {label!r}")
    return {**row, "label": labels.index(label)}


def _squad(path: Path) -> Iterator[Document]:
    try:
        data = parse_json(read_utf8(path))["data"]
        for article in data:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {
                        "id": question["id"],
                        "title": article["title"],
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": {
                            "text": [answer["text"] for answer in question["answers"]],
                            "answer_start": [answer["answer_start"] for answer in question["answers"]],
                        },
                    }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AssetError(f"{path}: not a data set in SQuAD's form: {error!r}") from error
