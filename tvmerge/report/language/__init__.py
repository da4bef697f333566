"""The language of reports: English texts are written where they are used, others are looked up by them.

A catalogue is a file here, such as `ja.json`: a text in English and the same in the other language. Places in
braces are filled with values:

    with language("ja"):
        tr("{n} of {total} trials", n=3, total=9)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tvmerge.errors import ConfigError

ENGLISH = "en"
_FOLDER = Path(__file__).parent
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def languages() -> tuple[str, ...]:
    """Return the codes of the languages that reports can be in, English first."""
    return ENGLISH, *sorted(path.stem for path in _FOLDER.glob("*.json"))


def current() -> str:
    """Return the code of the language in use."""
    return _current.get()


@contextmanager
def language(code: str) -> Iterator[None]:
    """Use a language for the texts that are made inside.

    Raises:
        ConfigError: There is no catalogue of it.
    """
    if code not in languages():
        raise ConfigError(f"there is no report in the language '{code}'; choose {' or '.join(languages())}")
    token = _current.set(code)
    try:
        yield
    finally:
        _current.reset(token)


def tr(text: str, **values: object) -> str:
    """Return a text in the language in use, with its places filled.

    A text that the catalogue lacks, as those of installed figures, stays as it is.

    Args:
        text: The text in English.
        values: What stands in its places; without values, the places stay.
    """
    found = catalogue(current()).get(text, text)
    return found.format(**values) if values else found


@cache
def catalogue(code: str) -> Mapping[str, str]:
    """Return the texts of a language by those in English; empty for English."""
    if code == ENGLISH:
        return MappingProxyType({})
    return MappingProxyType(json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8")))
