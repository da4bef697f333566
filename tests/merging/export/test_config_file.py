"""The `config.json` of a merged model is its donor's, but for what does not hold for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.export.config_file import write_config
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import open_merge
from tvmerge.records import Recipe

CODE = {"AutoModelForSequenceClassification": "owner/other--modeling_own.OwnClassifier"}
SPECS = {"w": TensorSpec((1,), "BF16")}


@pytest.fixture
def folder(llama_folders: tuple[Path, ...], tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_folders[0], tmp_path / "donor"))


def _written(tmp_path: Path, donor: Checkpoint, specs: dict[str, TensorSpec] | None = None) -> str:
    (tmp_path / "out").mkdir()
    write_config(tmp_path / "out", donor, SPECS if specs is None else specs)
    return (tmp_path / "out" / "config.json").read_text()


@pytest.mark.parametrize(
    "key",
    [
        '"time_step_limit": [0.0, Infinity]',
        '"nested": {"bound": -Infinity, "odd": NaN}',
        '"time_step_limit": [0.0, {"__float__": "Infinity"}]',
        '"rope_scaling_limit": 1e400',
    ],
)
def test_numbers_without_end_are_kept_byte_for_byte(key: str, folder: Path, tmp_path: Path) -> None:
    text = (folder / "config.json").read_text().replace("{", f"{{\n    {key},\n", 1)
    (folder / "config.json").write_text(text)
    assert _written(tmp_path, Checkpoint(folder)) == text


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", '{"__float__": "Infinity"}'])
def test_numbers_without_end_survive_another_format_and_transformers_reads_them(
    value: str, folder: Path, tmp_path: Path
) -> None:
    text = (folder / "config.json").read_text().replace("{", f'{{"bound": {value}, ', 1)
    (folder / "config.json").write_text(text)
    written = _written(tmp_path, Checkpoint(folder), {"w": TensorSpec((1,), "F32")})
    assert json.loads(written)["dtype"] == "float32"
    factory: Any = AutoConfig
    bounds = [factory.from_pretrained(place).bound for place in (folder, tmp_path / "out")]
    assert str(bounds[0]) == str(bounds[1])
    assert isinstance(bounds[1], float)


def test_a_merge_with_infinities_in_its_configuration_is_written_and_loads(
    llama_folders: tuple[Path, ...], tmp_path: Path
) -> None:
    folders = [str(shutil.copytree(folder, tmp_path / folder.name)) for folder in llama_folders]
    for place in folders:
        path = Path(place, "config.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"time_step_limit": [0.0, float("inf")]}))
    target, base, tuned = folders
    merge = open_merge(target, base, tuned, "all")
    assert merge.remarks() == ()
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.5)))
    factory: Any = AutoModelForCausalLM
    assert factory.from_pretrained(tmp_path / "out").config.time_step_limit == [0.0, float("inf")]


@pytest.mark.parametrize("trusted", [False, True])
def test_code_is_named_only_where_it_was_trusted(trusted: bool, folder: Path, tmp_path: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": CODE}))
    written = json.loads(_written(tmp_path, Checkpoint(folder, trust_remote_code=trusted)))
    assert written.get("auto_map") == (CODE if trusted else None)
