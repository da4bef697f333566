"""Where a model's files say that texts end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.eos import StatedEos, eos_texts, read_eos


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the files of a model that say it."""
    write(tmp_path, "config.json", {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None})
    write(tmp_path, "generation_config.json", {"temperature": 0.6, "do_sample": False, "eos_token_id": [1]})
    write(tmp_path, "tokenizer_config.json", {"model_max_length": 1e30, "eos_token": "<end>"})
    return tmp_path


def write(folder: Path, name: str, data: Any) -> None:
    (folder / name).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")


def test_the_files_are_read_for_what_they_state(model: Path) -> None:
    assert read_eos(model) == StatedEos((1,), (1,))
    write(model, "generation_config.json", {"eos_token_id": None})
    assert read_eos(model) == StatedEos((), (1,))
    (model / "generation_config.json").unlink()
    assert read_eos(model) == StatedEos(None, (1,))


def test_a_model_that_sees_may_state_it_in_the_part_for_its_text(model: Path) -> None:
    write(model, "config.json", {"eos_token_id": None, "text_config": {"eos_token_id": [1, -1, 4]}})
    assert read_eos(model).config == (1, 4)


@pytest.mark.parametrize("found", ["2", [1, "2"], True, 1.0, {}])
def test_what_is_no_token_is_refused_by_file(model: Path, found: Any) -> None:
    write(model, "generation_config.json", {"eos_token_id": found})
    with pytest.raises(
        CheckpointError, match=r"generation_config\.json: eos_token_id must be a token's number"
    ):
        read_eos(model)


def test_a_file_that_is_no_json_is_refused_by_name(model: Path) -> None:
    write(model, "generation_config.json", '{"eos_token_id": 2,}')
    with pytest.raises(CheckpointError, match=r"generation_config\.json: is not JSON"):
        eos_texts(model, [1, 4], None)


def test_all_else_stays_as_it_is_and_transformers_reads_it(model: Path) -> None:
    texts = eos_texts(model, [4, 1], "<turn>")
    assert json.loads(texts.pop("generation_config.json")) == {
        "temperature": 0.6,
        "do_sample": False,
        "eos_token_id": [4, 1],
    }
    assert json.loads(texts.pop("tokenizer_config.json")) == {"model_max_length": 1e30, "eos_token": "<turn>"}
    assert texts == {}
    write(model, "generation_config.json", eos_texts(model, [4, 1], None)["generation_config.json"])
    settings: Any = GenerationConfig
    assert settings.from_pretrained(model).eos_token_id == [4, 1]


def test_nothing_is_written_where_the_files_say_it_already(model: Path) -> None:
    assert eos_texts(model, [1], None) == eos_texts(model, (), None) == {}
    (model / "generation_config.json").unlink()
    assert eos_texts(model, [1], None) == {}


def test_a_model_without_a_generation_config_gets_one(model: Path) -> None:
    (model / "generation_config.json").unlink()
    written = json.loads(eos_texts(model, [1, 4], None)["generation_config.json"])
    assert written == {"bos_token_id": 0, "eos_token_id": [1, 4]}


def test_a_generation_config_is_not_called_derived_any_more(model: Path) -> None:
    write(model, "generation_config.json", {"_from_model_config": True, "eos_token_id": 1})
    assert json.loads(eos_texts(model, [4], None)["generation_config.json"]) == {"eos_token_id": 4}


def test_a_role_that_is_described_keeps_its_description(model: Path) -> None:
    described = {"content": "<end>", "lstrip": False, "__type": "AddedToken"}
    write(model, "tokenizer_config.json", {"eos_token": described})
    write(model, "special_tokens_map.json", {"eos_token": "<end>", "bos_token": "<s>"})
    texts = eos_texts(model, [1], "<turn>")
    assert json.loads(texts["tokenizer_config.json"]) == {"eos_token": {**described, "content": "<turn>"}}
    assert json.loads(texts["special_tokens_map.json"]) == {"eos_token": "<turn>", "bos_token": "<s>"}
