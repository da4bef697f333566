"""The page of a run: a self-contained HTML file that makes no network requests.

Answers and judges' replies are untrusted. They are in the page as JSON that contains no mark of HTML, from
which the script makes texts, never elements; the template engine escapes all else. The style sheet isolates
their text direction. The page's content security policy only allows its own scripts and styles, by digest, in
case a script gets through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import write_pieces
from tvmerge._version import __version__
from tvmerge.report import numbers
from tvmerge.report.answer_stats import answer_stats, has_thoughts
from tvmerge.report.block_reason import block_reason
from tvmerge.report.caveats import caveats
from tvmerge.report.conclusion import conclude, has_holdout, name
from tvmerge.report.drawing.svg import legal
from tvmerge.report.figures import drawn
from tvmerge.report.language import ENGLISH, current, language, tr
from tvmerge.report.page.answers import categories, columns, comparisons
from tvmerge.report.page.assets import FOLDER, policy, script, style
from tvmerge.report.page.payload import parts, payload
from tvmerge.report.page.texts import script_texts, state_texts
from tvmerge.report.prospects import prospect_line
from tvmerge.report.quantised import quantised_lines, quantised_rows
from tvmerge.report.result import RunRecord
from tvmerge.report.terminal.race import race_lines
from tvmerge.report.terminal.table import in_row_order, lead

if TYPE_CHECKING:
    from jinja2 import Environment


def write_page(path: Path, result: RunRecord, lang: str = ENGLISH) -> None:
    """Write the page of a run, replacing an earlier one atomically.

    Args:
        path: The file.
        result: The run.
        lang: The language of the page, see `languages`.

    Raises:
        ConfigError: There is no such language, or a figure of an installed package fails.
        OSError: The disk is full or the folder cannot be written.
    """
    with language(lang):
        write_pieces(path, _pieces(result))


def render_page(result: RunRecord, lang: str = ENGLISH) -> str:
    """Render the page of a run as HTML, in a language of `languages`."""
    with language(lang):
        return "".join(_pieces(result))


def _pieces(result: RunRecord) -> Iterator[str]:
    """Yield the page, which may be large, as it is made."""
    return map(legal, _environment().get_template("page.html.j2").generate(_content(result)))


def _content(result: RunRecord) -> dict[str, Any]:
    shown = columns(result)
    found = comparisons(result, shown)
    thinking = has_thoughts(result)
    return {
        "version": __version__,
        "lang": current(),
        "table_caption": _table_caption(result),
        "result": result,
        "best": result.contenders[0],
        "conclusion": conclude(result),
        "remarks": caveats(result),
        "has_holdout": has_holdout(result),
        "contenders": list(_contender_rows(result)),
        "quantised": list(quantised_rows(result)),
        "quantised_lines": list(quantised_lines(result)),
        "thinking": thinking,
        "complete": sum(trial.state == "COMPLETE" for trial in result.trials),
        "by_blocks": result.by_blocks,
        "block": block_reason(result.block),
        "choice": list(race_lines(result)),
        "prospects": _sentence(prospect_line(result.prospects)) if result.prospects else "",
        "stopped": sum(trial.state == "PRUNED" for trial in result.trials),
        "categories": categories(found),
        "figures": {name: figure for name, figure in drawn(result).items() if figure.svg or figure.caption},
        "data": payload(
            result,
            shown,
            found,
            {**script_texts(result.contenders[0].short), **state_texts()},
            thinking=thinking,
        ),
        "parts": parts(found),
        "style": style(),
        "script": script(),
        "policy": policy(),
    }


def _table_caption(result: RunRecord) -> str:
    mean = tr("Mean ratings ± standard error")
    if result.by_blocks and has_holdout(result):
        mean = tr("Estimated scores in the search and mean ratings ± standard error")
    who = result.contenders[0].short
    if has_holdout(result):
        return tr(
            "{scores}, and how much more the {who} scores on held-out questions, with its 95% interval.",
            scores=mean,
            who=who,
        )
    return tr("{scores}, and how much more the {who} scores.", scores=mean, who=who)


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
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["_"] = tr
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
    return tr("{sentence}.", sentence=f"{text[0].upper()}{text[1:]}")


def _setting(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
