from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tasks.lm_eval.tiny import write_jglue
from tvmerge.errors import AssetError, ConfigError
from tvmerge.tasks.lm_eval.jglue import found, read_splits, resolve
from tvmerge.tasks.lm_eval.requests import TaskRequest


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("jcommonsenseqa-1.1-0.3", "ja_leaderboard_jcommonsenseqa"),
        ("marc_ja-1.1-0.2", "ja_leaderboard_marc_ja"),
        ("jnli-1.3-0.2", "ja_leaderboard_jnli"),
        ("jsquad-1.1-0.2", "ja_leaderboard_jsquad"),
    ],
)
def test_the_names_of_the_original_mean_the_leaderboards_tasks_with_three_examples(
    name: str, task: str
) -> None:
    assert resolve(TaskRequest(name, limit=7)) == TaskRequest(task, limit=7, num_fewshot=3)
    assert resolve(TaskRequest(name, num_fewshot=1)).num_fewshot == 1


def test_short_names_leave_the_number_of_examples_to_the_task() -> None:
    assert resolve(TaskRequest("jnli")) == TaskRequest("ja_leaderboard_jnli")
    assert resolve(TaskRequest("ja_leaderboard_jnli")) == TaskRequest("ja_leaderboard_jnli")


def test_a_name_that_is_none_of_jglues_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"JGLUE has no task 'jnil'; did you mean jnli\?"):
        resolve(TaskRequest("jnil"))


def test_documents_are_those_of_the_hubs_data_set(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path)
    pairs = read_splits(folder, "ja_leaderboard_jnli", 0)["validation"]
    # entailment, contradiction, neutral: the order of the choices 含意, 矛盾, 中立.
    assert [pair["label"] for pair in pairs[:5]] == [2, 2, 0, 1, 0]
    squad = read_splits(folder, "ja_leaderboard_jsquad", 0)["validation"]
    assert squad[0] == {
        "id": "q0",
        "title": "首都",
        "context": "日本 [SEP] 日本の首都は東京です。",
        "question": "日本の首都は？",
        "answers": {"text": ["東京"], "answer_start": [9]},
    }


def test_without_a_training_file_examples_are_taken_from_the_validation_set_and_not_asked(
    tmp_path: Path,
) -> None:
    folder = write_jglue(tmp_path)
    everything = read_splits(folder, "ja_leaderboard_jnli", 0)
    assert everything["train"] == []
    splits = read_splits(folder, "ja_leaderboard_jnli", 3)
    # The first of each label: what is asked is not answered by the majority of the examples.
    assert [pair["sentence_pair_id"] for pair in splits["train"]] == ["0", "2", "3"]
    assert [p for p in everything["validation"] if p not in splits["train"]] == splits["validation"]


def test_a_training_file_gives_the_examples(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path)
    valid = folder / "jnli-valid-v1.3.json"
    (folder / "jnli-train-v1.3.json").write_bytes(valid.read_bytes())
    splits = read_splits(folder, "ja_leaderboard_jnli", 3)
    assert splits["train"] == splits["validation"]
    assert len(splits["train"]) == 9


def test_the_newest_version_of_a_file_is_read(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path)
    row = {"sentence_pair_id": "new", "sentence1": "a", "sentence2": "b", "label": "neutral"}
    (folder / "jnli-valid-v1.4.json").write_text(json.dumps(row), encoding="utf-8")
    assert len(read_splits(folder, "ja_leaderboard_jnli", 0)["validation"]) == 1


def test_what_is_there_is_found(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path / "whole")
    assert found(folder) == ["jcommonsenseqa", "jnli", "jsquad"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssetError, match="empty: holds no file of JGLUE such as jnli-valid"):
        found(tmp_path / "empty")


def test_that_marc_ja_is_missing_is_said_plainly(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path)
    with pytest.raises(
        AssetError, match=r"marc_ja-valid.*missing; MARC-ja is no longer distributed, leave it out"
    ):
        read_splits(folder, "ja_leaderboard_marc_ja", 3)
    rows = [{"sentence": "良い", "label": "positive"}, {"sentence": "悪い", "label": "negative"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "marc_ja-valid-v1.0.json").write_text(lines, encoding="utf-8")
    assert [row["label"] for row in read_splits(folder, "ja_leaderboard_marc_ja", 0)["validation"]] == [0, 1]


def test_malformed_files_are_named(tmp_path: Path) -> None:
    folder = write_jglue(tmp_path)
    (folder / "jnli-valid-v1.3.json").write_text('{"label": "maybe"}', encoding="utf-8")
    with pytest.raises(AssetError, match=r"jnli-valid-v1\.3\.json:1: 'label' must be one of entailment"):
        read_splits(folder, "ja_leaderboard_jnli", 0)
    (folder / "jcommonsenseqa-valid-v1.3.json").write_text('{"question": "?"}', encoding="utf-8")
    with pytest.raises(AssetError, match=r"jcommonsenseqa.*:1: 'label' must be the number of a choice"):
        read_splits(folder, "ja_leaderboard_jcommonsenseqa", 0)
    (folder / "jsquad-valid-v1.3.json").write_text('{"data": [{"title": "a"}]}', encoding="utf-8")
    with pytest.raises(AssetError, match=r"jsquad-valid-v1\.3\.json: not a data set in SQuAD's form"):
        read_splits(folder, "ja_leaderboard_jsquad", 0)


def test_a_file_too_small_for_its_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        AssetError, match="3 documents are not enough for 3 examples and a question; lower --num-fewshot"
    ):
        read_splits(write_jglue(tmp_path, 3), "ja_leaderboard_jnli", 3)
