"""Reads text files, which must be UTF-8; errors name the actual encoding and how to convert the file."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from tvmerge._util.regular import read_bytes
from tvmerge.errors import AssetError

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_NAMES = {
    "cp932": "CP932 (Shift_JIS)",
    "euc_jp": "EUC-JP",
}
_ICONV = {"CP932 (Shift_JIS)": "CP932"}
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u3001\u3002]")
_UNUSUAL = re.compile(r"[\uff61-\uff9f\ue000-\uf8ff]")
_SAMPLE = 100_000


def read_text(path: Path, *, error: type[Exception] = AssetError, hint: str = "") -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: The file.
        error: The class of errors to raise.
        hint: Another solution, appended to errors about encodings; `{codec}` is replaced by the encoding's
            name.

    Raises:
        error: The file cannot be read or is not UTF-8; the message names its probable encoding.
    """
    try:
        content = read_bytes(path)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from failure
    return decoded(content, path, error=error, hint=hint)


def decoded(content: bytes, path: Path, *, error: type[Exception] = AssetError, hint: str = "") -> str:
    """Return `content` of the file `path` as text; see `read_text`."""
    if (other := other_encoding(content)) is not None:
        raise error(f"{path}: is not UTF-8 but {_advice(other, path, hint)}")
    return content.decode("utf-8-sig")


def other_encoding(content: bytes) -> str | None:
    """Return the probable encoding of a text; None for UTF-8, empty if no encoding fits."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    # ASCII text in UTF-16 is valid UTF-8 with null characters, which no text contains.
    if b"\0" in content[:_SAMPLE]:
        return "UTF-16"
    if b"\x1b$" in content:
        return "ISO-2022-JP"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return _japanese(content)
    return None


def _japanese(content: bytes) -> str:
    """Return the Japanese encoding that gives the most kana and the fewest rare characters."""
    marks: dict[str, int] = {}
    for codec, name in _NAMES.items():
        try:
            text = content.decode(codec)[:_SAMPLE]
        except UnicodeDecodeError:
            continue
        marks[name] = len(_KANA.findall(text)) - len(_UNUSUAL.findall(text))
    return max(marks, key=marks.__getitem__, default="")


def _advice(encoding: str, path: Path, hint: str) -> str:
    if not encoding:
        return "in an unknown encoding; save it as UTF-8 in the program that wrote it"
    codec = _ICONV.get(encoding, encoding)
    iconv = f"iconv -f {codec} -t UTF-8 {path.name} > utf8-{path.name}"
    return f"{encoding}, it seems; save it as UTF-8 ({iconv}){hint.format(codec=codec)}"
