"""Groups of tasks: their score is lm-eval's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from lm_eval.tasks import TaskManager

from tests.tasks.lm_eval.tiny import examine, load, metric, write_group, write_task
from tvmerge.errors import ConfigError
from tvmerge.scoring.objective import Objective
from tvmerge.tasks.lm_eval import loading
from tvmerge.tasks.lm_eval.task import HarnessTask
from tvmerge.tasks.lm_eval.tasks import part_of

CODE = "def rate(doc, results):\n    return {'acc': float(doc['n'] % 3 == 0), 'size': doc['n']}\n"


@pytest.fixture(autouse=True)
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of all of lm-eval's tasks takes seconds."""
    own = partial(TaskManager, include_defaults=False)
    monkeypatch.setattr(loading, "TaskManager", lambda include_path, **_: own(include_path=include_path))


def write(folder: Path, name: str, count: int, **more: Any) -> str:
    config: dict[str, Any] = {
        "output_type": "loglikelihood",
        "doc_to_text": "{{text}}",
        "doc_to_target": "東京",
        "process_results": "!function utils.rate",
        "metric_list": [metric("acc"), metric("size")],
        **more,
    }
    return write_task(
        folder, name, [{"text": "日本の首都は", "n": n} for n in range(count)], code=CODE, **config
    )


def score(models: Path, tasks: tuple[HarnessTask, ...]) -> float:
    return Objective(tuple(map(part_of, tasks))).estimate(examine(models, tasks)).mean


def by_lm_eval(models: Path, folder: Path, group: str) -> dict[str, Any]:
    with patch("lm_eval.evaluator.add_env_info"):
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        model = HFLM(pretrained=str(models / "target"), dtype="float32", device="cpu", batch_size=4)
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        found = simple_evaluate(model, tasks=[group], bootstrap_iters=0, task_manager=manager)
    groups: dict[str, Any] = found["groups"][group]
    return groups


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"metric": "acc"}, (4 + 1) / 14),
        ({"metric": "acc", "weight_by_size": True}, (4 + 1) / 14),
        ({"metric": "acc", "weight_by_size": False}, (4 / 11 + 1 / 3) / 2),
        ({"metric": "size", "weight_by_size": True, "filter_list": "none"}, (55 + 3) / 14),
    ],
)
def test_a_group_scores_as_its_file_says(
    rule: dict[str, Any], expected: float, demo_models: Path, tmp_path: Path
) -> None:
    names = [write(tmp_path, "long", 11), write(tmp_path, "short", 3)]
    write_group(tmp_path, "both", names, aggregate_metric_list=[rule])
    assert score(demo_models, load(["both"], tmp_path)) == pytest.approx(expected)
    theirs = by_lm_eval(demo_models, tmp_path, "both")
    assert theirs[f"{rule['metric']},none"] == pytest.approx(expected)


def test_groups_of_groups_count_their_documents(demo_models: Path, tmp_path: Path) -> None:
    long, short = write(tmp_path, "long", 11), write(tmp_path, "short", 3)
    inner = {"group": "inner", "task": [short], "aggregate_metric_list": [{"metric": "acc"}]}
    write_group(tmp_path, "outer", [long, inner], aggregate_metric_list=[{"metric": "acc"}])
    tasks = load(["outer"], tmp_path)
    assert [task.weight for task in tasks] == pytest.approx([11 / 14, 3 / 14])
    assert score(demo_models, tasks) == pytest.approx(by_lm_eval(demo_models, tmp_path, "outer")["acc,none"])


def test_tasks_of_a_group_without_a_rule_share_evenly(tmp_path: Path) -> None:
    write_group(tmp_path, "both", [write(tmp_path, "long", 11), {"task": write(tmp_path, "short", 3)}])
    assert [task.weight for task in load(["both"], tmp_path)] == [0.5, 0.5]


def test_a_metric_beside_the_groups_rule_is_shared_evenly(tmp_path: Path) -> None:
    names = [write(tmp_path, "long", 11), write(tmp_path, "short", 3)]
    write_group(tmp_path, "both", names, aggregate_metric_list=[{"metric": "acc"}])
    tasks = load(["both:size"], tmp_path)
    assert [(task.metric.name, task.weight) for task in tasks] == [("size", 0.5), ("size", 0.5)]


def test_tasks_without_the_groups_metric_do_not_count_and_are_named(tmp_path: Path) -> None:
    other = {"process_results": None, "metric_list": [metric("perplexity", "perplexity")]}
    names = [write(tmp_path, "long", 11), write(tmp_path, "odd", 3, **other)]
    write_group(tmp_path, "both", names, aggregate_metric_list=[{"metric": "acc"}])
    notes: list[str] = []
    assert [(task.name, task.weight) for task in load(["both"], tmp_path, notes=notes)] == [("long", 1.0)]
    assert notes == ["odd has no acc, so it does not count in both (it has: perplexity)"]
    write_group(tmp_path, "none", names, aggregate_metric_list=[{"metric": "f1"}])
    with pytest.raises(ConfigError, match="no task of 'none' has the metric 'f1' of its group"):
        load(["none"], tmp_path)


def test_a_groups_overrides_reach_its_tasks(tmp_path: Path) -> None:
    name = write(tmp_path, "long", 11, num_fewshot=None)
    write_group(tmp_path, "one", [{"task": name, "num_fewshot": 2, "fewshot_split": "test"}])
    (task,) = load(["one"], tmp_path)
    assert task.documents[0].requests[0].args[0].count("日本の首都は") == 3


def test_a_group_that_names_no_task_of_lm_eval_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path, "both", [write(tmp_path, "long", 11), "lost"])
    with pytest.raises(ConfigError, match=r"task 'both::lost' names no data \(dataset_path\)"):
        load(["both"], tmp_path)


def test_a_group_without_tasks_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path, "empty", [])
    with pytest.raises(ConfigError, match="'empty' has no tasks"):
        load(["empty"], tmp_path)
