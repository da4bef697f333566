from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.tasks import TaskManager

from tests.tasks.lm_eval.tiny import load, metric, write_jglue, write_task
from tvmerge.errors import AssetError, ConfigError
from tvmerge.tasks.lm_eval import loading

ROWS: list[dict[str, Any]] = [{"text": f"{n} + {n} =", "answer": str(2 * n)} for n in range(8)]
TEXT: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "{{text}}",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
    "metric_list": [metric("exact_match"), metric("bleu", "bleu")],
}


def test_documents_become_questions_with_an_id_a_category_and_the_right_answer(tmp_path: Path) -> None:
    (task,) = load([write_task(tmp_path, "sums", ROWS, **TEXT)], tmp_path, limit=3)
    assert [question.question_id for question in task.questions] == ["sums/0", "sums/1", "sums/2"]
    assert {question.category for question in task.questions} == {"sums"}
    assert task.questions[2].turns == ("2 + 2 =",)
    assert task.questions[2].reference == ("4",)


def test_a_choice_is_shown_by_its_words(tmp_path: Path) -> None:
    (task,) = load(["ja_leaderboard_jnli"], jglue_data=write_jglue(tmp_path), num_fewshot=0)
    assert task.questions[0].reference == ("中立",)
    assert "前提：東京は日本の町です。" in task.questions[0].turns[0]


def test_prompts_begin_with_examples_that_are_not_asked(tmp_path: Path) -> None:
    (task,) = load(["ja_leaderboard_jnli"], jglue_data=write_jglue(tmp_path), num_fewshot=3)
    contexts = [document.requests[0].args[0] for document in task.documents]
    assert len(contexts) == 6
    beginnings = {context.rpartition("### 指示")[0] for context in contexts}
    assert len(beginnings) == 1
    assert beginnings.pop().count("### 応答：\n") == 3


def test_a_tasks_own_number_of_examples_is_the_default_and_its_zero_stands(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path / "jglue")
    (jsquad,) = load(["ja_leaderboard_jsquad"], jglue_data=folder)
    assert jsquad.documents[0].requests[0].args[0].count("### 応答：\n") == 2
    (sums,) = load([write_task(tmp_path, "sums", ROWS, **TEXT)], tmp_path, num_fewshot=2)
    assert sums.documents[0].requests[0].args[0] == "0 + 0 ="


def test_a_group_shares_its_weight_among_its_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An index of all of lm-eval's tasks takes seconds.
    own = partial(TaskManager, include_defaults=False)
    monkeypatch.setattr(loading, "TaskManager", lambda include_path, **_: own(include_path=include_path))
    names = [write_task(tmp_path, name, ROWS, **TEXT, tag="sums_all") for name in ("sums_a", "sums_b")]
    tasks = load(["sums_all"], tmp_path)
    assert [(task.name, task.weight) for task in tasks] == [(name, 0.5) for name in names]


def test_loading_leaves_everybodys_random_numbers_as_they_were(tmp_path: Path) -> None:
    random.seed(7)
    np.random.seed(7)
    expected = (random.random(), np.random.random())
    random.seed(7)
    np.random.seed(7)
    load([write_task(tmp_path, "sums", ROWS, **TEXT)], tmp_path)
    assert (random.random(), np.random.random()) == expected


def test_the_digest_tells_what_is_asked_and_how_it_is_rated(tmp_path: Path) -> None:
    name = write_task(tmp_path, "sums", ROWS, **TEXT)
    digests = [load([name], tmp_path)[0].digest, load([name], tmp_path)[0].digest]
    assert digests[0] == digests[1]
    others = [load([f"{name}:bleu"], tmp_path)[0], load([name], tmp_path, limit=7)[0]]
    write_task(tmp_path, "sums", [*ROWS[:-1], {"text": "7 + 7 =", "answer": "15"}], **TEXT)
    others += load([name], tmp_path)
    assert len({digests[0], *(task.digest for task in others)}) == 4


def test_an_unknown_task_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"lm-eval has no task 'helaswag'; did you mean .*hellaswag"):
        load(["helaswag"])


def test_an_unknown_metric_or_filter_is_refused_with_those_there_are(tmp_path: Path) -> None:
    name = write_task(tmp_path, "sums", ROWS, **TEXT)
    with pytest.raises(ConfigError, match="task 'sums' has no metric 'acc'; it has: exact_match, bleu"):
        load([f"{name}:acc"], tmp_path)
    with pytest.raises(ConfigError, match="task 'sums' has no filter 'strict'; it has: none"):
        load([f"{name}:bleu/strict"], tmp_path)


def test_a_task_named_twice_is_refused(tmp_path: Path) -> None:
    name = write_task(tmp_path, "sums", ROWS, **TEXT)
    with pytest.raises(ConfigError, match="the task 'sums' is named twice"):
        load([name, f"{name}:bleu"], tmp_path)


def test_data_that_cannot_be_reached_is_told_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(AssetError) as refused:
        load(["ja_leaderboard_jnli"])
    message = str(refused.value)
    assert message.startswith("the data of task 'ja_leaderboard_jnli' cannot be loaded: ")
    assert "--jglue-data" in message
    assert "--task-path" in message
    assert "\n" not in message


def test_a_package_that_a_task_needs_is_named(tmp_path: Path) -> None:
    name = write_task(tmp_path, "sums", ROWS, **TEXT)
    (tmp_path / "needy.py").write_text("import a_package_nobody_has\n", encoding="utf-8")
    text = (tmp_path / "sums.yaml").read_text(encoding="utf-8")
    (tmp_path / "sums.yaml").write_text(
        text[:-1] + ', "process_docs": !function needy.it }', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="task 'sums' needs the Python package 'a_package_nobody_has'"):
        load([name], tmp_path)


def test_a_broken_task_file_is_told_in_one_line(tmp_path: Path) -> None:
    name = write_task(tmp_path, "sums", ROWS, **{**TEXT, "doc_to_text": "{{ text | nonsense }}"})
    with pytest.raises(ConfigError, match=r"^task 'sums', document 0: .*nonsense.*\(doc_to_text\)"):
        load([name], tmp_path)
    with pytest.raises(ConfigError, match=r"--task-path .* is not a folder"):
        load([name], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("a.yaml", "task: [sums\n", r"a\.yaml cannot be read: ParserError: "),
        ("a.yaml", "include: lost.yaml\ntask: sums\n", r"a\.yaml cannot be read: FileNotFoundError: .*lost"),
        ("a.yml", "task: sums\n", r"lm-eval reads files that end in \.yaml; rename .*a\.yml"),
    ],
)
def test_a_task_file_that_lm_eval_passes_over_is_named(
    file: str, text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = partial(TaskManager, include_defaults=False)
    monkeypatch.setattr(loading, "TaskManager", lambda include_path, **_: own(include_path=include_path))
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^lm-eval has no task 'sums'; .*{expected}") as refused:
        load(["sums"], tmp_path)
    assert "\n" not in str(refused.value)


def test_tasks_that_need_more_than_a_language_model_are_refused(tmp_path: Path) -> None:
    name = write_task(tmp_path, "runs", ROWS, **TEXT, unsafe_code=True)
    with pytest.raises(ConfigError, match="task 'runs' runs code that the model writes"):
        load([name], tmp_path)
    name = write_task(tmp_path, "sees", ROWS, **TEXT, doc_to_image="picture")
    with pytest.raises(ConfigError, match="task 'sees' asks about pictures or sounds"):
        load([name], tmp_path)


def test_ways_to_draw_texts_that_engines_do_not_know_are_refused(tmp_path: Path) -> None:
    drawn = {"until": ["\n"], "do_sample": True, "temperature": 0.7, "top_p": 0.9}
    name = write_task(tmp_path, "sums", ROWS, **{**TEXT, "generation_kwargs": drawn})
    with pytest.raises(ConfigError, match="task 'sums': it draws its texts with top_p"):
        load([name], tmp_path)
    greedy = {"until": ["\n"], "do_sample": False, "top_p": 0.9}
    assert load([write_task(tmp_path, "sums", ROWS, **{**TEXT, "generation_kwargs": greedy})], tmp_path)
