"""Builds URLs of SQLite databases, and hides passwords in URLs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

SQLITE = "sqlite:///"
"""The prefix of the URL of an SQLite storage, followed by the file's path."""

_LEAST = 4
"""Minimum number of characters of a password that is looked for in other texts."""

_SIGNS = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "%?#{}"})
"""Characters that have a special meaning in a URL."""

_PASSWORD = re.compile(r"(://[^:/\s]{0,500}:)[^@\s]{0,2000}(?=@)")
_ANY_PASSWORD = re.compile(r"(://[^:/]{0,500}:).*(?=@)", re.DOTALL)
"""All that may be a password in a URL that is malformed."""
_QUERY_PASSWORD = re.compile(r"([?&][\w-]{0,100}(?:passw(?:or)?d|pwd)=)[^&\s]*", re.IGNORECASE)


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite database in the file `path`, with special characters quoted."""
    return f"{SQLITE}{str(path).translate(_SIGNS)}"


def shown_url(url: str) -> str:
    """Return a URL as SQLAlchemy shows it, with asterisks for its password, also one within its query."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        return hide_passwords(_ANY_PASSWORD.sub(r"\1***", url))
    # Without a password nothing is hidden, and a path stays as it was quoted.
    return hide_passwords(url if parts.password is None else parts.render_as_string(hide_password=True))


def hide_password_of(url: str, text: str) -> str:
    """Return a text, such as a driver's error, without the password of `url`, however it is quoted."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    shown = text.replace(url, shown_url(url))
    try:
        password = make_url(url).password or ""
    except (ArgumentError, ValueError):
        password = ""
    for secret in (str(password), quote(str(password), safe="")):
        shown = shown.replace(secret, "***") if len(secret) >= _LEAST else shown
    return hide_passwords(shown)


def hide_passwords(text: str) -> str:
    """Return `text` with the passwords of all URLs in it replaced by asterisks.

    For a text that is a URL, see `shown_url`.
    """
    return _QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1***", text))
