"""Measures a second trial on lm-eval tasks, relative to calling lm-eval for each trial.

Both score SmolLM2-135M in float32 on JGLUE's JCommonsenseQA and JNLI and on a task that generates texts, with
the same documents and prompts. tvmerge's second trial merges, generates and rates. lm-eval is timed twice,
with the model in memory and with loading it, as in a script that calls it for every candidate. Scores must be
equal for each document. The target is to be 1.5 times as fast.

Run as `python -m perf.harness JGLUE [MODELS]`: the folder with JGLUE's files, and one for the models, which
are created there if they are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from perf.smollm2 import ROLES, make
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.merging.checkpoints.eos import read_eos
from tvmerge.merging.live import load_into
from tvmerge.merging.open import Merge, open_merge
from tvmerge.pretrained.context_length import model_context
from tvmerge.protocols import Engine
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.tasks.lm_eval.judge import HarnessJudge
from tvmerge.tasks.lm_eval.loading import load_tasks
from tvmerge.tasks.lm_eval.model import Prompts
from tvmerge.tasks.lm_eval.pool import HarnessPool
from tvmerge.tasks.lm_eval.requests import task_requests
from tvmerge.tasks.lm_eval.task import HarnessTask, Measured

JGLUE = ("ja_leaderboard_jcommonsenseqa", "ja_leaderboard_jnli")
CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Egypt": "Cairo",
    "Spain": "Madrid",
    "Canada": "Ottawa",
    "Japan": "Tokyo",
}
BATCH = 8
"""Rows of a batch of lm-eval's model."""


@dataclass(frozen=True)
class Timed:
    """Values by task, and the seconds they took."""

    values: dict[str, list[float]]
    seconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("jglue", type=Path)
    parser.add_argument("models", type=Path, nargs="?")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--num-fewshot", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = make(given.models or folder / "models")
        names = (*JGLUE, write_capitals(folder))
        requests = task_requests(
            [(name, 1.0) for name in names], [given.num_fewshot] * len(names), [given.limit] * len(names)
        )
        tasks = load_tasks(requests, task_path=folder, jglue_data=given.jglue)
        target, base, tuned = (str(models / role) for role in ROLES)
        first, second = asyncio.run(trials(open_merge(target, base, tuned, "layer"), tasks))
        loading, theirs = by_lm_eval(models / "target", tasks)
        report(tasks, first, second, theirs, loading)


def write_capitals(folder: Path) -> str:
    """Write a task that generates texts, and return its name."""
    rows = [
        {"question": f"Q: What is the capital of {k}?\nA:", "answer": f"The capital of {k} is {v}."}
        for k, v in CAPITALS.items()
    ]
    (folder / "rows.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    task = {
        "task": "capitals",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(folder / "rows.json")},
            "cache_dir": str(folder / "data"),
        },
        "test_split": "test",
        "num_fewshot": 0,
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 12},
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "regexes_to_ignore": ["^ "],
            }
        ],
    }
    (folder / "capitals.yaml").write_text(json.dumps(task), encoding="utf-8")
    return "capitals"


async def trials(merge: Merge, tasks: Sequence[HarnessTask]) -> tuple[Timed, Timed]:
    """Run two trials on one engine; the second has the target's weights."""
    folder = merge.target.folder
    chat, stops = ChatFormat(folder), read_eos(folder).generation or ()

    async def start() -> Engine:
        return TransformersEngine(folder, chat, merge.merger, load_into, stop_tokens=stops)

    prompts = Prompts(chat.tokenizer, model_context(folder))
    pool = HarnessPool(EnginePool({"cpu": start}), tasks, prompts)
    found = [await trial(pool, tasks, merge, weight) for weight in (1.0, 0.0)]
    await pool.close()
    return found[0], found[1]


async def trial(pool: HarnessPool, tasks: Sequence[HarnessTask], merge: Merge, weight: float) -> Timed:
    """Evaluate a uniform merge on all documents."""
    judge = HarnessJudge(tasks)
    asked: dict[Any, Question] = {q.question_id: q for task in tasks for q in task.questions}
    recipe = Recipe(dict.fromkeys(merge.group_names, weight))
    found: dict[Any, float] = {}
    started = time.perf_counter()
    async with aclosing(pool.answer(recipe, list(asked.values()), Sampling())) as stream:
        async for answers in stream:
            for answer in answers:
                for judgment in await judge.judge(asked[answer.question_id], answer):
                    assert isinstance(judgment, Measured)
                    found[answer.question_id] = judgment.value
    seconds = time.perf_counter() - started
    return Timed({task.name: [found[q.question_id] for q in task.questions] for task in tasks}, seconds)


def by_lm_eval(folder: Path, tasks: Sequence[HarnessTask]) -> tuple[float, Timed]:
    """Return the seconds to load lm-eval's model, and the results of `simple_evaluate`.

    Its report on the machine and its index of all tasks are not timed, since they are not part of scoring.
    """
    with warnings.catch_warnings(), patch("lm_eval.evaluator.add_env_info"):
        warnings.simplefilter("ignore")
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        started = time.perf_counter()
        model = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=BATCH)
        loading = time.perf_counter() - started
        index = TaskManager(include_defaults=False)
        sources = [task.source for task in tasks]
        limit = len(tasks[0].documents)
        started = time.perf_counter()
        found = simple_evaluate(model, tasks=sources, limit=limit, bootstrap_iters=0, task_manager=index)
        seconds = time.perf_counter() - started
    values = {t.name: [sample[t.metric.name] for sample in found["samples"][t.name]] for t in tasks}
    return loading, Timed(values, seconds)


def report(tasks: Sequence[HarnessTask], first: Timed, second: Timed, theirs: Timed, loading: float) -> None:
    """Print scores and speeds side by side."""
    count = sum(len(task.documents) for task in tasks)
    for task in tasks:
        ours, other = second.values[task.name], theirs.values[task.name]
        print(f"{task.name}: {sum(ours) / len(ours):.4f}, by lm-eval {sum(other) / len(other):.4f}")
    print(f"documents that are scored alike: {second.values == theirs.values}")
    print(f"tvmerge, first trial   {count / first.seconds:8.3f} documents/s (loads the model)")
    print(f"tvmerge, second trial  {count / second.seconds:8.3f} documents/s")
    anew = theirs.seconds + loading
    print(f"lm-eval, model there   {count / theirs.seconds:8.3f} documents/s")
    print(f"lm-eval, with loading  {count / anew:8.3f} documents/s")
    print(f"times faster           {theirs.seconds / second.seconds:8.2f}")
    print(f"times faster, loading  {anew / second.seconds:8.2f}")


if __name__ == "__main__":
    main()
