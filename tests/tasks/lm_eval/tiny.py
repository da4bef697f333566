"""Small tasks of every type, and small files in the form of JGLUE's, both made up here."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.engines.models import open_demo_engine
from tvmerge._util.trace import Trace
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Sampling
from tvmerge.tasks.lm_eval.judge import HarnessJudge
from tvmerge.tasks.lm_eval.loading import load_tasks
from tvmerge.tasks.lm_eval.model import Prompts
from tvmerge.tasks.lm_eval.pool import HarnessPool
from tvmerge.tasks.lm_eval.requests import task_requests
from tvmerge.tasks.lm_eval.task import HarnessTask, Measured
from tvmerge.testing.models import open_models, uniform

PLACES = ("日本", "フランス", "中国", "ドイツ", "イタリア", "スペイン")
CITIES = ("東京", "パリ", "北京", "ベルリン", "ローマ", "マドリード")
CONTEXT = 256


def write_jglue(folder: Path, count: int = 9) -> Path:
    """JCommonsenseQA, JNLI and JSQuAD with `count` documents each."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [(PLACES[n % 6], CITIES[n % 6]) for n in range(count)]
    choices = [
        {
            "q_id": n,
            "question": f"{place}の首都はどこ？",
            **{f"choice{i}": CITIES[i] for i in range(5)},
            "label": n % 5,
        }
        for n, (place, _) in enumerate(places)
    ]
    labels = ("neutral", "neutral", "entailment", "contradiction", "entailment")
    pairs = [
        {
            "sentence_pair_id": str(n),
            "yjcaptions_id": str(n),
            "sentence1": f"{city}は{place}の町です。",
            "sentence2": f"{city}は大きい。",
            "label": labels[n % 5],
        }
        for n, (place, city) in enumerate(places)
    ]
    paragraphs = [
        {
            "context": f"{place} [SEP] {place}の首都は{city}です。",
            "qas": [
                {
                    "id": f"q{n}",
                    "question": f"{place}の首都は？",
                    "answers": [{"text": city, "answer_start": 9}],
                    "is_impossible": False,
                }
            ],
        }
        for n, (place, city) in enumerate(places)
    ]
    _write_lines(folder / "jcommonsenseqa-valid-v1.3.json", choices)
    _write_lines(folder / "jnli-valid-v1.3.json", pairs)
    squad = {"version": "1.3", "data": [{"title": "首都", "paragraphs": paragraphs}]}
    (folder / "jsquad-valid-v1.3.json").write_text(json.dumps(squad, ensure_ascii=False), encoding="utf-8")
    return folder


def write_task(
    folder: Path, name: str, rows: Sequence[dict[str, Any]], *, code: str = "", **config: Any
) -> str:
    """A task file of one's own, with its data beside it; tells the task's name.

    A text like `!function utils.rate` names a function; `code` is what utils.py holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / f"{name}.json", rows)
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(folder / f"{name}.json")},
            "cache_dir": str(folder / ".data"),
        },
        "test_split": "test",
        "num_fewshot": 0,
        **config,
    }
    if code:
        (folder / "utils.py").write_text(code, encoding="utf-8")
    _write_yaml(folder / f"{name}.yaml", task)
    return name


def write_group(folder: Path, name: str, members: Sequence[Any], **config: Any) -> str:
    """A group file; tells the group's name."""
    _write_yaml(folder / f"{name}.yaml", {"group": name, "task": members, **config})
    return name


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    """JSON is YAML, but for the tag of functions."""
    text = json.dumps(content, ensure_ascii=False)
    path.write_text(re.sub(r'"(!function [\w.]+)"', r"\1", text), encoding="utf-8")


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def metric(
    name: str, aggregation: str = "mean", *, higher_is_better: bool = True, **more: Any
) -> dict[str, Any]:
    """An entry of a task's metric_list."""
    return {"metric": name, "aggregation": aggregation, "higher_is_better": higher_is_better, **more}


def load(
    names: Sequence[str],
    folder: Path | None = None,
    *,
    num_fewshot: int | None = None,
    limit: int | None = None,
    jglue_data: Path | None = None,
    notes: list[str] | None = None,
) -> tuple[HarnessTask, ...]:
    """Tasks by their written names."""
    count = len(names)
    requests = task_requests([(name, 1.0) for name in names], [num_fewshot] * count, [limit] * count)
    told: list[str] = [] if notes is None else notes
    return load_tasks(requests, task_path=folder, jglue_data=jglue_data, note=told.append)


def open_pool(models: Path, trace: Trace | None = None) -> EnginePool:
    """One transformers engine with the demo's models."""

    async def start() -> Engine:
        return open_demo_engine(str(models))

    return EnginePool({"cpu": start}, trace=trace)


def prompts_of(models: Path) -> Prompts:
    """The target's tokenizer, with the context of the demo's models."""
    return Prompts(ChatFormat(models / "target").tokenizer, CONTEXT)


def answers_to(models: Path, tasks: Sequence[HarnessTask], *, weight: float = 0.0) -> list[Answer]:
    """What a uniform merge answers to all documents, in their order."""

    async def work() -> list[Answer]:
        pool = HarnessPool(open_pool(models), tasks, prompts_of(models))
        questions = [question for task in tasks for question in task.questions]
        recipe = uniform(open_models(models), weight)
        async with aclosing(pool.answer(recipe, questions, Sampling())) as stream:
            found = [answer async for answers in stream for answer in answers]
        await pool.close()
        assert [answer.question_id for answer in found] == [question.question_id for question in questions]
        return found

    return asyncio.run(work())


def examine(models: Path, tasks: Sequence[HarnessTask], *, weight: float = 0.0) -> list[Measured]:
    """The judgments of a uniform merge on all documents, in their order."""

    async def work(answers: Sequence[Answer]) -> list[Measured]:
        judge = HarnessJudge(tasks)
        questions = [question for task in tasks for question in task.questions]
        pairs = zip(questions, answers, strict=True)
        judged = [judgment for pair in pairs for judgment in await judge.judge(*pair)]
        assert all(isinstance(judgment, Measured) for judgment in judged)
        return [judgment for judgment in judged if isinstance(judgment, Measured)]

    return asyncio.run(work(answers_to(models, tasks, weight=weight)))


def by_lm_eval(
    folder: Path, tasks: Sequence[HarnessTask], limit: int | None = None, **flags: Any
) -> dict[str, Any]:
    """What lm-eval finds by itself: its own model, prompts and loop, on the same folder."""
    # What it reports of the machine, and an index of all its tasks, takes longer than these tasks.
    with warnings.catch_warnings(), patch("lm_eval.evaluator.add_env_info"):
        warnings.simplefilter("ignore")
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        model = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=4)
        sources = [task.source for task in tasks]
        found: dict[str, Any] = simple_evaluate(
            model,
            tasks=sources,
            limit=limit,
            bootstrap_iters=0,
            task_manager=TaskManager(include_defaults=False),
            **flags,
        )
    return found
