"""Builds URLs of SQLite databases, and hides passwords in URLs."""

from __future__ import annotations

import re
from pathlib import Path

SQLITE = "sqlite:///"
"""The prefix of the URL of an SQLite storage, followed by the file's path."""

_SIGNS = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "%?#{}"})
"""Characters that have a special meaning in a URL."""

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*(?=@)")
_QUERY_PASSWORD = re.compile(r"([?&][\w-]*passw(?:or)?d=)[^&\s]*", re.IGNORECASE)


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite database in the file `path`, with special characters quoted."""
    return f"{SQLITE}{str(path).translate(_SIGNS)}"


def hide_passwords(text: str) -> str:
    """Return `text` with the passwords of all URLs replaced by asterisks."""
    return _QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1***", text))
