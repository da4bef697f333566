"""The page's own script and styles, and the security policy that allows them and nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from tvmerge.report.drawing.svg import STYLE

FOLDER = Path(__file__).parent

_SCRIPTS = ("dom", "data", "pager", "card", "search", "answers", "tables", "main")
"""The parts of the script in their order; each may use those before it."""

_STYLES = ("page", "answers")


@cache
def script() -> str:
    """Return the page's script, whose names are its own."""
    parts = [(FOLDER / "script" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    return '\n(async () => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """Return the page's style sheet; each figure has another one of its own."""
    return "\n" + "\n".join(
        (FOLDER / "style" / f"{name}.css").read_text(encoding="utf-8").strip() for name in _STYLES
    )


def policy() -> str:
    """Return the content security policy: this script and these styles, by digest, and no requests."""
    return (
        f"default-src 'none'; script-src {_sources(script())}; style-src {_sources(style(), STYLE)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _sources(*texts: str) -> str:
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(value).decode('ascii')}'" for value in digests)
