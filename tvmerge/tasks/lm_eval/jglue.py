"""JGLUE: the names its tasks go by, and its files as they are published.

The files are those of github.com/yahoojapan/JGLUE (Kurihara et al., LREC 2022): `jcommonsenseqa-*`, `jnli-*`
and `marc_ja-*` with one JSON object per line, `jsquad-*` in the form of SQuAD. MARC-ja is no longer
distributed; who has its files may use them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tvmerge._util.files import read_jsonl
from tvmerge.errors import AssetError, ConfigError
from tvmerge.tasks.lm_eval.requests import TaskRequest

Document = dict[str, Any]

TASKS = {name: f"ja_leaderboard_{name}" for name in ("jcommonsenseqa", "jnli", "jsquad", "marc_ja")}
"""JGLUE's names to lm-eval's."""

LABELS = {
    "jnli": ("entailment", "contradiction", "neutral"),
    "marc_ja": ("positive", "negative"),
}
"""Labels in the order of the choices that lm-eval's tasks offer."""

ORIGINAL = re.compile(r"(jcommonsenseqa|jnli|jsquad|marc_ja)-[\d.]+-[\d.]+")
"""A name with the versions of task and prompt, as the JP Language Model Evaluation Harness has them."""

DEFAULT = ("jcommonsenseqa-1.1-0.3", "marc_ja-1.1-0.2", "jnli-1.3-0.2", "jsquad-1.1-0.2")
"""The tasks of the original scripts, in their order."""

ORIGINAL_FEWSHOT = 3
"""Examples in each prompt where a task has such a name: the original scripts' number for all four."""

ORIGINAL_LIMIT = 500
"""Documents of each task that the original scripts ask unless told otherwise."""


def resolve(request: TaskRequest) -> TaskRequest:
    """The request by lm-eval's name of the task.

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
    """JGLUE's own name of a task that is written as the original scripts write it."""
    return name.partition("-")[0]


def found(folder: Path) -> list[str]:
    """JGLUE's tasks whose validation files are in `folder`.

    Raises:
        AssetError: There is none.
    """
    names = [name for name in TASKS if _file(folder, name, "valid") is not None]
    if not names:
        raise AssetError(f"{folder}: holds no file of JGLUE such as jnli-valid-v1.3.json")
    return names


def read_splits(folder: Path, task: str, examples: int) -> dict[str, list[Document]]:
    """The documents of one of `TASKS`' tasks as the hub's data set has them, by split.

    Without a training file `examples` documents of the validation set become the examples of all prompts
    and are not asked: the first ones with as many different labels as there are.

    Args:
        folder: Where JGLUE's files are.
        task: lm-eval's name.
        examples: How many examples prompts have.

    Returns:
        `train` and `validation`.

    Raises:
        AssetError: The file is missing or malformed; names it.
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
            f"{valid}: {len(documents)} documents leave none to ask beside {examples} examples; "
            "lower --num-fewshot"
        )
    chosen = _examples(documents, examples)
    return {
        "train": [documents[index] for index in chosen],
        "validation": [document for index, document in enumerate(documents) if index not in chosen],
    }


def _file(folder: Path, name: str, split: str) -> Path | None:
    """The newest version of a file, by its name."""
    return max(folder.glob(f"{name}-{split}-*.json"), default=None)


def _examples(documents: Sequence[Document], count: int) -> list[int]:
    """Places of the first documents, labels taking turns."""
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
    """A row with its label as a number."""
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
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
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
