from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import load, metric, write_task
from tvmerge.errors import AssetError
from tvmerge.tasks.lm_eval.data_files import beside


def write(folder: Path, rows: list[dict[str, Any]], **data: Any) -> str:
    return write_task(
        folder,
        "capitals",
        rows,
        dataset_kwargs={"cache_dir": str(folder / ".data"), **data},
        output_type="loglikelihood",
        doc_to_text="{{text}}",
        doc_to_target="東京",
        metric_list=[metric("acc")],
    )


@pytest.mark.parametrize(
    "data",
    [
        {"data_files": {"test": "capitals.json"}},
        {"data_files": {"test": ["./capitals.json"]}},
        {"data_files": {"test": "capital*.json"}},
    ],
)
def test_data_beside_the_tasks_file_are_found_from_anywhere(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "tasks"
    (task,) = load([write(folder, [{"text": "日本の首都は"}], **data)], folder)
    assert task.questions[0].turns == ("日本の首都は",)


def test_the_working_directory_comes_first_as_in_lm_eval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capitals.json").write_text(json.dumps({"text": "here"}), encoding="utf-8")
    folder = tmp_path / "tasks"
    (task,) = load([write(folder, [{"text": "there"}], data_files={"test": "capitals.json"})], folder)
    assert task.questions[0].turns == ("here",)


def test_data_that_are_nowhere_are_named_with_where_they_were_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = write(tmp_path / "tasks", [{"text": "a"}], data_files={"test": "lost.json"})
    with pytest.raises(
        AssetError, match=r"the data of task 'capitals' cannot be loaded: .*lost\.json.*next to the task file"
    ):
        load([name], tmp_path / "tasks")


def test_only_paths_are_placed(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "rows.json").touch()
    config = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": "https://a/rows.json", "name": "rows.json"},
    }
    assert beside(config, tmp_path) == config
    assert beside({"dataset_path": "./json"}, tmp_path) == {"dataset_path": str(tmp_path / "json")}
