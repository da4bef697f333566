"""URLs of databases: of a file, and fit to be shown."""

from __future__ import annotations

import re
from pathlib import Path

SQLITE = "sqlite:///"
"""What the URL of an SQLite storage begins with; the file's path follows."""

_SIGNS = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "%?#{}"})
"""What would end the path or stand for something else in a URL."""

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*(?=@)")
_QUERY_PASSWORD = re.compile(r"([?&][\w-]*passw(?:or)?d=)[^&\s]*", re.IGNORECASE)


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite database in the file `path`, whatever signs its name has."""
    return f"{SQLITE}{str(path).translate(_SIGNS)}"


def hide_passwords(text: str) -> str:
    """`text` with the passwords of all URLs in it replaced by stars."""
    return _QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1***", text))
