"""The page of a run: a self-contained HTML file that makes no network requests.

Answers and judges' replies are untrusted. The template engine escapes them and the style sheet isolates their
text direction. The page's content security policy only allows its own scripts and styles, by digest, in case
a script gets through.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import write_text
from tvmerge._version import __version__
from tvmerge.records import MEAN
from tvmerge.report import numbers
from tvmerge.report.answer_stats import answer_stats, has_thoughts
from tvmerge.report.caveats import caveats
from tvmerge.report.conclusion import conclude, has_holdout, name
from tvmerge.report.drawing.svg import STYLE, legal
from tvmerge.report.figures import drawn
from tvmerge.report.page.answers import categories, comparisons
from tvmerge.report.prospects import prospect_line
from tvmerge.report.result import RunRecord
from tvmerge.report.terminal.race import race_lines
from tvmerge.report.terminal.table import in_row_order, lead

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent


def write_page(path: Path, result: RunRecord) -> None:
    """Write the page of a run, replacing an earlier one atomically.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    write_text(path, render_page(result))


def render_page(result: RunRecord) -> str:
    """Render the page of a run as HTML."""
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            _content(result),
            style=style,
            script=script,
            policy=_policy(scripts=(script,), styles=(style, STYLE)),
        )
    )
    return legal(html)


def _content(result: RunRecord) -> dict[str, Any]:
    found = comparisons(result)
    return {
        "version": __version__,
        "result": result,
        "best": result.contenders[0],
        "conclusion": conclude(result),
        "remarks": caveats(result),
        "has_holdout": has_holdout(result),
        "contenders": list(_contender_rows(result)),
        "thinking": has_thoughts(result),
        "complete": sum(trial.state == "COMPLETE" for trial in result.trials),
        "by_blocks": any(MEAN in trial.attrs for trial in result.trials),
        "choice": list(race_lines(result)),
        "prospects": _sentence(prospect_line(result.prospects)) if result.prospects else "",
        "stopped": sum(trial.state == "PRUNED" for trial in result.trials),
        "comparisons": found,
        "categories": categories(found),
        "figures": drawn(result),
    }


def _contender_rows(result: RunRecord) -> Iterator[dict[str, Any]]:
    for contender in in_row_order(result):
        yield {
            "key": contender.key,
            "name": name(contender),
            "trial": numbers.MISSING if contender.trial is None else contender.trial,
            "search": contender.search,
            "holdout": contender.holdout,
            "lead": lead(result, contender),
            "traits": answer_stats(contender.samples),
        }


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": numbers.score,
        "estimate": numbers.estimate,
        "weight": lambda value: f"{value + 0.0:.4f}",
        "percent": numbers.percent,
        "duration": numbers.duration,
        "count": numbers.count,
        "standard_error": numbers.standard_error,
        "setting": _setting,
    }
    return environment


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _setting(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _policy(scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    return (
        f"default-src 'none'; script-src {_sources(scripts)}; style-src {_sources(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _sources(texts: tuple[str, ...]) -> str:
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(value).decode('ascii')}'" for value in digests)
