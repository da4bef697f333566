"""The same folder, the same documents: lm-eval by itself finds the same.

Several modules: all tasks of lm-eval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import (
    CITIES,
    PLACES,
    answers_to,
    by_lm_eval,
    examine,
    load,
    metric,
    write_jglue,
    write_task,
)
from tvmerge.scoring.objective import Objective
from tvmerge.tasks.lm_eval.judge import unpack
from tvmerge.tasks.lm_eval.tasks import part_of
from tvmerge.testing.models import PlainModel

LIMIT = 16  # as in the demo's generation_config.json, which lm-eval's model prefers to what a task says
QUESTIONS = [f"{place}の首都はどこですか。" for place in PLACES] + [
    f"{city}は好きですか。" for city in CITIES
]


def write_tasks(folder: Path, demo_models: Path) -> list[str]:
    """A task of every type; the model itself says what is right in about half of the cases."""
    plain = PlainModel(demo_models / "target")
    said = [plain.go_on(question, LIMIT).split("。")[0] for question in QUESTIONS]
    rows = [
        {
            "text": question,
            "answer": answer if n % 2 else "別",
            "choices": [answer, "別", "東京"],
            "gold": n % 3,
        }
        for n, (question, answer) in enumerate(zip(QUESTIONS, said, strict=True))
    ]
    shots: dict[str, Any] = {"num_fewshot": 2, "fewshot_split": "test"}
    return [
        write_task(
            folder,
            "tiny_choice",
            rows,
            output_type="multiple_choice",
            doc_to_text="{{text}}",
            doc_to_target="gold",
            doc_to_choice="choices",
            target_delimiter="\n",
            metric_list=[metric("acc"), metric("acc_norm"), metric("acc_mutual_info")],
            **shots,
        ),
        write_task(
            folder,
            "tiny_class",
            rows,
            output_type="multiple_choice",
            doc_to_text="{{text}}",
            doc_to_target="{{gold % 2}}",
            doc_to_choice="{{choices[:2]}}",
            target_delimiter="",
            metric_list=[metric("acc"), metric("f1", "f1"), metric("mcc", "matthews_corrcoef")],
        ),
        write_task(
            folder,
            "tiny_text",
            rows,
            output_type="generate_until",
            doc_to_text="{{text}}",
            doc_to_target="answer",
            target_delimiter="",
            generation_kwargs={"until": ["。"], "max_gen_toks": LIMIT, "do_sample": False},
            metric_list=[metric("exact_match"), metric("bleu", "bleu")],
        ),
        write_task(
            folder,
            "tiny_word",
            rows,
            output_type="loglikelihood",
            doc_to_text="{{text}}",
            doc_to_target="answer",
            target_delimiter="",
            metric_list=[metric("acc"), metric("perplexity", "perplexity", higher_is_better=False)],
        ),
        write_task(
            folder,
            "tiny_rolling",
            [{"text": question * 40} for question in QUESTIONS[:3]],
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="{{text}}",
            metric_list=[metric("byte_perplexity", "weighted_perplexity", higher_is_better=False)],
        ),
    ]


@dataclass(frozen=True)
class Written:
    """Tasks on the disk, and what lm-eval finds of them."""

    folder: Path
    names: list[str]
    theirs: dict[str, Any]


@pytest.fixture(scope="module")
def written(demo_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("tasks")
    names = write_tasks(folder, demo_models)
    return Written(folder, names, by_lm_eval(demo_models / "target", load(names, folder)))


def test_every_type_of_task_scores_each_document_as_lm_eval_does(written: Written, demo_models: Path) -> None:
    tasks = load(written.names, written.folder)
    judgments = examine(demo_models, tasks)
    for task in tasks:
        ours = [judgment for judgment in judgments if judgment.prompt.startswith(task.name)]
        theirs = [sample[task.metric.name] for sample in written.theirs["samples"][task.name]]
        if task.name == "tiny_rolling":
            assert [judgment.value[0] for judgment in ours] == pytest.approx([v for v, _ in theirs], rel=1e-5)
        else:
            assert [judgment.value for judgment in ours] == theirs
            assert [judgment.score for judgment in ours] == [float(value) for value in theirs]
            assert set(theirs) == {0, 1}


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("tiny_choice:acc", 1),
        ("tiny_choice:acc_norm", 1),
        ("tiny_choice:acc_mutual_info", 1),
        ("tiny_class:f1", 1),
        ("tiny_class:mcc", 1),
        ("tiny_text:exact_match", 1),
        ("tiny_text:bleu", 0.01),
        ("tiny_word:perplexity", -1),
        ("tiny_rolling:byte_perplexity", -1),
    ],
)
def test_any_metric_is_aggregated_as_lm_eval_does_and_turned_and_scaled(
    name: str, factor: float, written: Written, demo_models: Path
) -> None:
    tasks = load([name], written.folder)
    task, metric = tasks[0], tasks[0].metric.name
    found = task.aggregate(examine(demo_models, tasks))
    expected = written.theirs["results"][task.name][f"{metric},none"]
    assert found == pytest.approx(expected * factor, rel=1e-5, abs=1e-6)
    assert task.metric.by_document == (metric in ("acc", "acc_norm", "acc_mutual_info", "exact_match"))


WHOLE = """
import numpy as np
def rate(doc, results):
    best = int(np.argmax([logprob for logprob, _ in results]))
    return {"masked": (float(best == doc["gold"]), doc["gold"] == 0), "linear": (results[0][0], doc["gold"])}
def masked(pairs):
    right, mask = zip(*pairs)
    return np.array(right)[np.array(mask)].mean()
def linear(pairs):
    first, second = zip(*pairs)
    return np.corrcoef(first, second)[0, 1]
"""


@pytest.mark.parametrize("name", ["masked", "linear"])
def test_a_metric_without_a_value_for_one_document_is_aggregated_as_lm_eval_does(
    name: str, demo_models: Path, tmp_path: Path
) -> None:
    rows = [
        {"text": question, "choices": ["東京", "パリ", "北京"], "gold": n % 3}
        for n, question in enumerate(QUESTIONS)
    ]
    write_task(
        tmp_path,
        "tiny_whole",
        rows,
        code=WHOLE,
        output_type="multiple_choice",
        doc_to_text="{{text}}",
        doc_to_target="gold",
        doc_to_choice="choices",
        process_results="!function utils.rate",
        metric_list=[metric(one, f"!function utils.{one}") for one in ("masked", "linear")],
    )
    tasks = load([f"tiny_whole:{name}"], tmp_path)
    judged = examine(demo_models, tasks)
    expected = by_lm_eval(demo_models / "target", tasks)["results"]["tiny_whole"][f"{name},none"]
    assert tasks[0].aggregate(judged) == pytest.approx(expected, rel=1e-5)
    alone = [math.isnan(judgment.score) for judgment in judged]
    assert alone == [name == "linear" or n % 3 != 0 for n in range(len(rows))]
    own = Objective((part_of(tasks[0]),))
    assert own.estimate(judged).n == len(rows)
    found = own.difference(judged, examine(demo_models, tasks, weight=1.0))
    assert found.low <= found.difference <= found.high


def test_jglue_is_asked_as_lm_eval_asks_it_even_where_prompts_are_too_long(
    demo_models: Path, tmp_path: Path
) -> None:
    names = ["ja_leaderboard_jcommonsenseqa", "ja_leaderboard_jnli"]
    tasks = load(names, jglue_data=write_jglue(tmp_path, 12))
    answers = {answer.question_id: answer for answer in answers_to(demo_models, tasks)}
    theirs = by_lm_eval(demo_models / "target", tasks)
    for task in tasks:
        for document, sample in zip(task.documents, theirs["samples"][task.name], strict=True):
            assert [request.args for request in document.requests] == sample["arguments"]
            said = unpack(answers[document.question.question_id].turns[0])
            for (own,), (other,) in zip(said, sample["resps"], strict=True):
                assert own[0] == pytest.approx(other[0], rel=1e-5)
                assert own[1] == other[1]
