"""The tokens of a model as plain data."""

from __future__ import annotations

from pathlib import Path

from tests.merging.tokens import save_tokenizer
from tvmerge.pretrained.tokens import Tokens, read_tokens


def test_tokens_are_numbered_as_by_transformers(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, ["<s>", "a", "b"], bos_token="<s>")
    found = read_tokens(tmp_path, "mine")
    assert found.ids is not None
    assert (found.ids["<s>"], found.ids["a"], found.ids["b"]) == (0, 1, 2)
    assert (found.roles["bos_token"], "<s>" in found.special, found.problem) == ("<s>", True, "")


def test_a_folder_without_a_tokenizer_has_no_tokens(tmp_path: Path) -> None:
    assert read_tokens(tmp_path, "mine") == Tokens()


def test_a_damaged_tokenizer_is_a_problem_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    found = read_tokens(tmp_path, "mine")
    assert found.ids is None
    assert found.problem.startswith("mine: the tokenizer cannot be loaded: ")
