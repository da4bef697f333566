"""The page on screens of several widths, in light and dark, and for those who do not see it.

Several modules: the page's template, style and figures.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.report import results
from tests.report.browser.conftest import Show

RUN = results.rated(12)

BRIGHTNESS = """
(selector, name) => {
  const [r, g, b] = getComputedStyle(document.querySelector(selector))[name].match(/[\\d.]+/g).map(Number);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}
"""

OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_follows_the_scheme_of_the_reader(show: Show, dark: bool) -> None:
    page = show(RUN, dark=dark)
    paper, ink = (page.evaluate(f"({BRIGHTNESS})('body', '{name}')") for name in ("backgroundColor", "color"))
    assert (paper < 0.2 and ink > 0.7) if dark else (paper > 0.9 and ink < 0.3)
    figure = page.evaluate(f"({BRIGHTNESS})('.tvmerge-figure text', 'fill')")
    assert abs(figure - paper) > 0.3


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(show: Show, dark: bool) -> None:
    page = show(results.by_blocks(replace(RUN, unfinished="")), dark=dark)
    page.evaluate(OPEN_ALL)
    page.wait_for_timeout(100)
    violations = Axe().run(page).response["violations"]
    grave = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert {v["id"]: [node["html"][:200] for node in v["nodes"]] for v in grave} == {}
