"""Chat templates and special tokens that differ between models are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.prompting import prompt_remarks


def _model(folder: Path, template: str | None = None, **tokenizer: Any) -> Path:
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def _remarks(*folders: Path) -> list[str]:
    return prompt_remarks({folder: folder.name for folder in folders}, folders[0])


def test_another_template_is_told_once(tmp_path: Path) -> None:
    target, base, tuned = (
        _model(tmp_path / "target", "[INST]{{ messages }}"),
        _model(tmp_path / "base"),
        _model(tmp_path / "tuned", "<|user|>{{ messages }}"),
    )
    assert _remarks(target, base, tuned) == [
        "chat template differs: tuned from target, whose is used unless --chat-template gives another"
    ]


def test_a_model_without_a_template_differs_from_none(tmp_path: Path) -> None:
    bare, speaking = _model(tmp_path / "bare"), _model(tmp_path / "speaking", "{{ messages }}")
    assert _remarks(bare, speaking) == _remarks(speaking, bare) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"chat_template": "{{ messages }}\n"},
        {
            "chat_template": [
                {"name": "tool_use", "template": "x"},
                {"name": "default", "template": "{{ messages }}"},
            ]
        },
    ],
)
def test_a_template_is_the_same_wherever_it_is_kept(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert _remarks(_model(tmp_path / "new", "{{ messages }}"), _model(tmp_path / "old", **settings)) == []
    (tmp_path / "processor").mkdir()
    (tmp_path / "processor" / "chat_template.json").write_text(
        json.dumps({"chat_template": "{{ messages }}"})
    )
    assert _remarks(tmp_path / "new", tmp_path / "processor") == []


def test_special_tokens_are_compared_role_by_role_in_one_line(tmp_path: Path) -> None:
    target = _model(tmp_path / "target", bos_token="<s>", unk_token={"content": "<unk>"})
    base = _model(tmp_path / "base", bos_token={"content": "<s>"}, unk_token="<unk>")
    tuned = _model(
        tmp_path / "tuned", bos_token="<bos>", unk_token="<?>", eos_token="<|im_end|>", pad_token="<pad>"
    )
    assert _remarks(target, base) == []
    assert _remarks(target, base, tuned) == [
        "special tokens differ: bos_token is <s> in target and base, <bos> in tuned; "
        "unk_token is <unk> in target and base, <?> in tuned; the merged model is like target"
    ]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = _model(tmp_path / "broken")
    (broken / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"broken.tokenizer_config\.json: is not JSON"):
        _remarks(broken)
