"""Texts in other languages: every one is there, and its places are the same.

Several modules: all that reports say.
"""

from __future__ import annotations

import ast
import re
from collections import UserDict
from dataclasses import replace
from pathlib import Path

import pytest

import tvmerge.report
from tests.report import results
from tests.report.html_tree import parse
from tvmerge.errors import ConfigError
from tvmerge.report import language as module
from tvmerge.report.figures import FIGURES
from tvmerge.report.language import catalogue, language, languages, tr
from tvmerge.report.page.page import render_page
from tvmerge.report.result import RunRecord
from tvmerge.report.unfinished import Unfinished

REPORT = Path(tvmerge.report.__file__).parent
PLACE = re.compile(r"\{(\w+)\}")


def written() -> set[str]:
    """The texts that the code and the template give to `tr`."""
    found: set[str] = set()
    for path in REPORT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                found |= {
                    a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
                }
    template = (REPORT / "page" / "page.html.j2").read_text(encoding="utf-8")
    found |= {text.replace("\\'", "'") for text in re.findall(r"_\('((?:[^'\\]|\\.)*)'", template)}
    return found | {FIGURES.load(name).heading for name in FIGURES.names()}


@pytest.mark.parametrize("code", [code for code in languages() if code != "en"])
def test_every_text_is_in_the_catalogue_with_the_same_places(code: str) -> None:
    texts = catalogue(code)
    assert written() - texts.keys() == set()
    for english, other in texts.items():
        assert set(PLACE.findall(english)) == set(PLACE.findall(other)), english


class Misses(UserDict[str, str]):
    """A catalogue that remembers the texts that it lacks."""

    def __init__(self, known: dict[str, str]) -> None:
        super().__init__(known)
        self.missed: set[str] = set()

    def __missing__(self, key: str) -> str:
        self.missed.add(key)
        raise KeyError(key)


UNFINISHED = Unfinished("answer", 12, 960, held=True, rough=True, leader=3, mean=6.5, se=0.2)
RUNS = {
    "finished": results.rated(9),
    "by blocks": results.by_blocks(results.rated(9)),
    "without a hold-out": results.without_holdout(),
    "few questions": results.rated(3),
    "unclear": results.simple((0.1, -0.3, 0.5)),
    "quantised": results.quantised(results.rated(9)),
    "unfinished": replace(results.without_holdout(), progress=UNFINISHED),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_page_in_japanese_lacks_no_text(run: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Misses(dict(catalogue("ja")))
    monkeypatch.setattr(module, "catalogue", lambda code: known)
    page = parse(render_page(run, "ja"))
    # What a finished table or sentence is made of is looked up again where it is used.
    assert {text for text in known.missed if re.search(r"[A-Za-z]{4}", text) and text.isascii()} == set()
    assert page.one("html").attributes["lang"] == "ja"
    assert re.search(r"[ぁ-ん]", page.one(id="verdict").text)


def test_the_language_ends_with_its_block_and_an_unknown_one_is_refused() -> None:
    with language("ja"):
        assert tr(
            "{n} trials with a score, {stopped} stopped early, {failed} failed.", n=1, stopped=2, failed=3
        )
        assert tr("Scores") == "得点"
    assert tr("Scores") == "Scores"
    with pytest.raises(ConfigError, match="language 'fr'; choose en or ja"), language("fr"):
        pass


def test_braces_in_what_is_filled_in_stay_as_they_are() -> None:
    assert tr("Trial {n}: {why}.", n=1, why="{oops}") == "Trial 1: {oops}."
