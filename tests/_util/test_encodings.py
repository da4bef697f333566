"""Files in other encodings than UTF-8."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge._util.encodings import read_text
from tvmerge._util.files import read_jsonl
from tvmerge.errors import AssetError, ConfigError

LINE = '{"question_id": 1, "category": "作文", "turns": ["日本の首都はどこですか。「東京」のように。"]}\n'


@pytest.mark.parametrize(
    ("encoding", "named", "command"),
    [
        ("cp932", "CP932 (Shift_JIS)", "iconv -f CP932 -t UTF-8 question.jsonl"),
        ("euc_jp", "EUC-JP", "iconv -f EUC-JP -t UTF-8 question.jsonl"),
        ("utf-16", "UTF-16", "iconv -f UTF-16 -t UTF-8 question.jsonl"),
        ("utf-16-be", "UTF-16", "iconv -f UTF-16 -t UTF-8 question.jsonl"),
        ("utf-32", "UTF-32", "iconv -f UTF-32 -t UTF-8 question.jsonl"),
        ("iso2022_jp", "ISO-2022-JP", "iconv -f ISO-2022-JP -t UTF-8 question.jsonl"),
    ],
)
def test_another_encoding_is_named_with_how_to_save_the_file(
    tmp_path: Path, encoding: str, named: str, command: str
) -> None:
    path = tmp_path / "question.jsonl"
    path.write_bytes(LINE.encode(encoding))
    with pytest.raises(AssetError) as caught:
        list(read_jsonl(path))
    said = str(caught.value)
    assert f"question.jsonl: is not UTF-8 but {named}" in said
    assert command in said
    assert "\n" not in said


def test_bytes_of_no_known_encoding_are_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xff\x81\xff\x82")
    with pytest.raises(ConfigError, match="an unknown encoding; save it as UTF-8"):
        read_text(path, error=ConfigError)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "question.jsonl"
    path.write_bytes(LINE.encode(encoding))
    assert read_text(path) == LINE
