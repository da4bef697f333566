"""Tasks of one's own that cannot be rated, before a model is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import load, metric, write_task
from tvmerge.errors import ConfigError
from tvmerge.tasks.lm_eval.metric import Metric
from tvmerge.tasks.lm_eval.preflight import check_scores, try_metric

ROWS: list[dict[str, Any]] = [
    {"text": f"{n}?", "choices": ["a", "b", "c"], "gold": n % 3, "answer": str(n)} for n in range(8)
]
RATE = "def rate(doc, results):\n"


def write(folder: Path, code: str = "", **more: Any) -> str:
    config: dict[str, Any] = {
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_target": "gold",
        "doc_to_choice": "choices",
        "metric_list": [metric("acc")],
        **({"process_results": "!function utils.rate"} if "def rate" in code else {}),
        **more,
    }
    return write_task(folder, "mine", config.pop("rows", ROWS), code=code, **config)


def refused(folder: Path, code: str = "", **more: Any) -> str:
    name = write(folder, code, **more)
    with pytest.raises(ConfigError) as error:
        load([name], folder)
    assert "\n" not in str(error.value)
    return str(error.value)


AGGREGATED = {"metric_list": [metric("acc", "!function utils.total")]}


@pytest.mark.parametrize(
    ("code", "more", "expected"),
    [
        (
            RATE + "    if doc['text'] == '3?':\n        raise KeyError('label')\n    return {'acc': 1.0}\n",
            {},
            "task 'mine', document 3: process_results fails with KeyError: 'label' (utils.py, line 3)",
        ),
        (RATE + "    return None\n", {}, "task 'mine', document 0: process_results gives None"),
        (RATE + "    return [1.0]\n", {}, "task 'mine', document 0: process_results gives [1.0]"),
        (
            RATE + "    return {'other': 0.5}\n",
            {},
            "task 'mine' gives no value of its metrics (acc); process_results gives other: name one",
        ),
        (RATE + "    return {}\n", {}, "its process_results gives nothing for any document"),
        (RATE + "    return {'acc': None}\n", {}, "document 0: its value of 'acc' is None, not a number"),
        (RATE + "    return {'acc': '0.5'}\n", {}, "document 0: its value of 'acc' is '0.5', not a number"),
        (
            RATE + "    return {'acc': (1, True)}\n",
            {},
            "document 0: its value of 'acc' is (1, True), not a number",
        ),
        (
            RATE + "    return {'acc': float('nan') if doc['gold'] else 1.0}\n",
            {},
            "task 'mine', document 1: its value of 'acc' is nan, so the mean over all documents is undefined",
        ),
        (
            "def total(xs):\n    return 1 / 0\n",
            AGGREGATED,
            "task 'mine': its aggregation of 'acc' over 8 documents fails with ZeroDivisionError",
        ),
        ("def total(xs):\n    return None\n", AGGREGATED, "over 8 documents gives None, not a number"),
        (
            "def total(xs):\n    return {'a': 1}\n",
            AGGREGATED,
            "over 8 documents gives {'a': 1}, not a number",
        ),
        ("def total(xs):\n    return '0.3'\n", AGGREGATED, "over 8 documents gives '0.3', not a number"),
        (
            "def total(xs):\n    return float('nan')\n",
            AGGREGATED,
            "gives no finite number whatever a model says",
        ),
        (
            "def mine(*a, **k):\n    return 1.0\ndef total(xs):\n    return 1.0\n",
            {"metric_list": [metric("!function utils.mine", "!function utils.total")]},
            "task 'mine' gives no value of its metrics (mine); lm-eval has no such metric for tasks with "
            "output_type multiple_choice",
        ),
        ("", {"metric_list": [metric("f1", "f1")]}, "its aggregation of 'f1' over 8 documents fails with"),
    ],
)
def test_a_task_that_no_model_can_be_rated_by_is_refused_with_the_place(
    code: str, more: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert expected in refused(tmp_path, code, **more)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"doc_to_target": "{{gold + 5}}"},
            "document 0: the right answer, 5, is none of the choices ['a', 'b'",
        ),
        (
            {"doc_to_text": "{{question}}"},
            "document 0: 'question' is undefined (doc_to_text); fix its file, or",
        ),
        ({"doc_to_choice": ["", "b"]}, "document 0: a choice is '', not a text; see doc_to_choice"),
        ({"num_fewshot": 20}, "document 0: writing its prompt fails with ValueError"),
        (
            {"rows": [*ROWS, {**ROWS[0], "choices": []}]},
            "task 'mine', document 8: there are no choices; see doc_to_choice",
        ),
        (
            {"output_type": "loglikelihood", "doc_to_choice": None, "doc_to_target": "gold"},
            "task 'mine', document 0: a prompt or an answer is 0, not a text; see doc_to_target",
        ),
        (
            {
                "output_type": "generate_until",
                "doc_to_choice": None,
                "generation_kwargs": {"max_gen_toks": "x"},
            },
            "task 'mine': reading generation_kwargs fails with ValueError",
        ),
        (
            {
                "output_type": "generate_until",
                "doc_to_choice": None,
                "generation_kwargs": {"until": ["."], "repetition_penalty": 1.2},
                "metric_list": [metric("exact_match")],
            },
            "task 'mine': it draws its texts with repetition_penalty, which tvmerge's engines do not know",
        ),
    ],
)
def test_a_document_that_makes_no_prompt_is_refused_with_its_number(
    more: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert expected in refused(tmp_path, **more)


@pytest.mark.parametrize(
    "code", ["def none(ds):\n    return ds.select([])\n", "def none(ds):\n    return None\n"]
)
def test_a_task_whose_documents_are_filtered_out_is_refused(code: str, tmp_path: Path) -> None:
    error = refused(tmp_path, code, process_docs="!function utils.none")
    assert error.startswith("task 'mine' ")
    assert "process_docs" in error


def test_what_depends_on_the_model_is_left_to_the_run(tmp_path: Path) -> None:
    """A text that is no number is the model's fault, and only where it is one."""
    name = write(
        tmp_path,
        RATE + "    return {'acc': abs(int(results[0]) - int(doc['answer']))}\n",
        output_type="generate_until",
        doc_to_choice=None,
        doc_to_target="about {{answer}}",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 4},
    )
    (task,) = load([name], tmp_path)
    with pytest.raises(ConfigError, match=r"task 'mine', document 2: process_results fails with ValueError"):
        task.rate(task.documents[2], [["two"]])


def test_a_document_the_metric_is_not_about_does_not_count(tmp_path: Path) -> None:
    code = RATE + "    return {'even': 1.0} if doc['gold'] == 0 else {'odd': doc.pop('gold')}\n"
    name = write(tmp_path, code, metric_list=[metric("even"), metric("odd")])
    (task,) = load([f"{name}:odd"], tmp_path)
    responses = [[(-1.0, False)]] * 3
    for _ in range(2):
        judged = [task.rate(document, responses) for document in task.documents]
        assert [j is None for j in judged] == [document.content["gold"] == 0 for document in task.documents]
        assert task.aggregate([j for j in judged if j is not None]) == pytest.approx(7 / 5)


def test_metrics_beside_those_of_the_file_are_averaged_as_lm_eval_does(tmp_path: Path) -> None:
    name = write(tmp_path, RATE + "    return {'acc': 1.0, 'length': len(doc['text'])}\n")
    (task,) = load([f"{name}:length"], tmp_path)
    assert task.metric.by_document
    with pytest.raises(ConfigError, match="task 'mine' has no metric 'size'; it has: acc"):
        load([f"{name}:size"], tmp_path)


def test_right_answers_that_are_no_choice_are_told(tmp_path: Path) -> None:
    notes: list[str] = []
    load(
        [write(tmp_path, rows=[*ROWS, {**ROWS[0], "gold": 7}, {**ROWS[0], "gold": -1}])],
        tmp_path,
        notes=notes,
    )
    assert notes == [
        "mine: the right answer of 2 of 10 documents (8, 9) is none of their choices; as in lm-eval no model "
        "is right there"
    ]


def test_an_aggregation_gets_documents_in_the_tasks_order(tmp_path: Path) -> None:
    code = RATE + "    return {'acc': int(doc['answer'])}\ndef total(xs):\n    return xs[0]\n"
    (task,) = load([write(tmp_path, code, **AGGREGATED)], tmp_path)
    judged = [task.rate(document, [[(-1.0, False)]] * 3) for document in task.documents]
    assert task.aggregate([j for j in reversed(judged) if j is not None]) == 0


def test_an_aggregation_that_takes_long_is_timed(tmp_path: Path) -> None:
    (task,) = load([write(tmp_path, "def total(xs):\n    return sum(xs)\n", **AGGREGATED)], tmp_path)
    found = try_metric(task.source, task.documents, "none")
    ticks = iter([10.0, 10.7])
    took = check_scores(task.source, task.documents, found, task.metric, lambda: next(ticks))
    assert took == pytest.approx(0.7)
    slow = Metric("acc", "none", sum, higher_is_better=True, slow=True)
    assert slow.resamples == 0
    assert slow.alone(1.0) != slow.alone(1.0)
