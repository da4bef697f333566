"""Tokenizers in every form that models come with, and what is said where one cannot be loaded."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import tvmerge.pretrained.tokenizer
from tests.merging.tokens import save_byte_level, save_tekken, save_tokenizer
from tvmerge.pretrained.tokenizer import TokenizerError, load_tokenizer, vocabulary_files


def _model(folder: Path, model_type: str = "llama", **settings: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": 300}))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_a_tokenizer_of_tekken_alone_is_loaded(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model", "mistral")
    save_tekken(folder)
    assert load_tokenizer(folder, "model").get_vocab()["[INST]"] == 3


def test_a_tokenizer_of_words_and_merges_is_loaded(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model", "qwen2")
    save_byte_level(folder)
    assert load_tokenizer(folder, "model")("the")["input_ids"] == [257]


def test_a_sentencepiece_model_alone_is_loaded(tmp_path: Path) -> None:
    sentencepiece: Any = pytest.importorskip("sentencepiece")
    folder = _model(tmp_path / "model", tokenizer_class="LlamaTokenizer")
    (tmp_path / "text").write_text("\n".join(f"the quick brown fox number {i}" for i in range(300)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=60,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    reader = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    numbers = load_tokenizer(folder, "model").get_vocab()
    assert all(numbers[reader.id_to_piece(i)] == i for i in range(reader.get_piece_size()))


def test_a_tiktoken_model_alone_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("tiktoken")
    folder = _model(tmp_path / "model", tokenizer_class="PreTrainedTokenizerFast")
    lines = [f"{base64.b64encode(bytes([number])).decode()} {number}" for number in range(256)]
    (folder / "tokenizer.model").write_text("\n".join(lines))
    assert load_tokenizer(folder, "model").get_vocab()["Ā"] == 0


@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model", "qwen.tiktoken"])
def test_the_packages_that_are_missing_are_named_with_the_extra_that_brings_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tvmerge.pretrained.tokenizer, "find_spec", lambda _: None)
    folder = _model(tmp_path / "model", tokenizer_class="PreTrainedTokenizerFast")
    (folder / name).write_text("x")
    packages = "tiktoken" if name.endswith("tiktoken") else "sentencepiece and tiktoken"
    with pytest.raises(TokenizerError, match=rf"that needs {packages}; pip install 'tvmerge\[tokenizers\]'"):
        load_tokenizer(folder, "model")


def test_the_missing_packages_are_an_extra_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    brought = " ".join(project["optional-dependencies"][tvmerge.pretrained.tokenizer.EXTRA])
    assert "sentencepiece" in brought
    assert "tiktoken" in brought


def test_code_that_is_not_trusted_names_the_flag(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model", auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own")
    (folder / "own.py").write_text("raise SystemExit")
    assert vocabulary_files(folder) == ["tokenizer_config.json"]
    with pytest.raises(TokenizerError, match=r"model: the tokenizer cannot be loaded: .*--trust-remote-code"):
        load_tokenizer(folder, "model")


@pytest.mark.parametrize("settings", [{}, {"tokenizer_class": "LlamaTokenizer"}])
def test_a_folder_with_settings_alone_has_no_tokenizer(settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="model has no tokenizer; save one there"):
        load_tokenizer(_model(tmp_path / "model", **settings), "model")


@pytest.mark.parametrize("name", ["LlamaTokenizer", "Qwen2Tokenizer"])
def test_a_class_that_finds_none_of_its_files_and_gives_special_tokens_alone_is_refused(
    name: str, tmp_path: Path
) -> None:
    folder = _model(tmp_path / "model", tokenizer_class=name)
    (folder / "vocab.other").write_text("x")
    with pytest.raises(TokenizerError, match=r"vocab\.other has only special tokens"):
        load_tokenizer(folder, "model")


def test_files_that_no_class_reads_are_named(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model", "mistral", tokenizer_class="PreTrainedTokenizerFast")
    (folder / "vocab.other").write_text("x")
    with pytest.raises(TokenizerError, match=r"transformers cannot read vocab\.other as one"):
        load_tokenizer(folder, "model")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model")
    save_tokenizer(folder, ["a", "b"])
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json is damaged or of another kind"):
        load_tokenizer(folder, "model")


@pytest.mark.parametrize("longest", ["4096", [1], {"a": 1}])
def test_a_longest_text_that_is_no_number_is_named(tmp_path: Path, longest: object) -> None:
    folder = _model(tmp_path / "model")
    save_tokenizer(folder, ["a", "b"])
    file = folder / "tokenizer_config.json"
    stated = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**stated, "model_max_length": longest}))
    with pytest.raises(TokenizerError, match=r"model_max_length in its settings is .* and not a number"):
        load_tokenizer(folder, "model")


def test_an_unknown_token_that_is_no_token_is_named(tmp_path: Path) -> None:
    folder = _model(tmp_path / "model")
    save_tokenizer(folder, ["a", "b"])
    file = folder / "tokenizer_config.json"
    stated = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**stated, "unk_token": ""}))
    with pytest.raises(TokenizerError, match="it has no token '', which is its unk_token"):
        load_tokenizer(folder, "model")
