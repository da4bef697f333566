"""The page on screens of several widths, in light and dark, and for those who do not see it.

Several modules: the page's template, style and figures.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.report import results
from tests.report.browser.conftest import Show
from tvmerge.records import Recipe
from tvmerge.report.result import RunRecord
from tvmerge.report.unfinished import Unfinished

RUN = results.rated(12)

GROUPS = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.{layer}.{kind}.weight"
        for layer in range(32)
        for kind in ("self_attn.q_proj", "mlp.down_proj", "post_attention_layernorm")
    ),
    "lm_head.weight",
)
USAGE = {
    "judge": "a-judge-with-a-long-name-2027-01-01",
    "calls": 3210,
    "calls_in_batches": 10,
    "cache_hits": 812,
    "failed_attempts": 3,
    "input_tokens": 3_210_000,
    "output_tokens": 512_345,
    "cost_usd": 12.345,
    "latency_seconds": {"p50": 1.23, "p90": 2.2, "p99": 4.56},
}


def full_run() -> RunRecord:
    """A run with everything that a page can show."""
    drawn = [replace(t, recipe=Recipe(results.varied(GROUPS, t.number))) for t in results.trials(120)]
    return replace(results.rated(12, GROUPS, drawn), usage=(USAGE,))


LABELS = "h1, h2, h3, h4, th, td, dt, dd, label, a, p, li, caption, button, summary, figcaption"

CLIPPED = """
() => {
  const width = document.documentElement.clientWidth;
  const shown = (e) => e.checkVisibility() && e.getClientRects().length > 0;
  const found = [];
  if (document.scrollingElement.scrollWidth > width) found.push("the page scrolls sideways");
  for (const text of document.querySelectorAll("svg text")) {
    if (!shown(text)) continue;
    const [box, frame] = [text, text.ownerSVGElement].map((e) => e.getBoundingClientRect());
    const out = box.left < frame.left - 1 || box.right > frame.right + 1;
    if (out || box.top < frame.top - 1 || box.bottom > frame.bottom + 1 || box.right > width + 1)
      found.push(text.textContent);
  }
  for (const cell of document.querySelectorAll(LABELS)) {
    if (!shown(cell)) continue;
    const box = cell.getBoundingClientRect();
    const inline = getComputedStyle(cell).display === "inline";
    if (box.right > width + 1 || (!inline && cell.scrollWidth > cell.clientWidth + 1))
      found.push(`<${cell.tagName}> ${cell.textContent.trim().slice(0, 60)}`);
  }
  return found;
}
"""

BRIGHTNESS = """
(selector, name) => {
  const [r, g, b] = getComputedStyle(document.querySelector(selector))[name].match(/[\\d.]+/g).map(Number);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}
"""


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_follows_the_scheme_of_the_reader(show: Show, dark: bool) -> None:
    page = show(RUN, dark=dark)
    paper, ink = (page.evaluate(f"({BRIGHTNESS})('body', '{name}')") for name in ("backgroundColor", "color"))
    assert (paper < 0.2 and ink > 0.7) if dark else (paper > 0.9 and ink < 0.3)
    figure = page.evaluate(f"({BRIGHTNESS})('.tvmerge-figure text', 'fill')")
    assert abs(figure - paper) > 0.3


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_axe_finds_nothing_serious(show: Show, dark: bool, lang: str) -> None:
    page = show(full_run(), dark=dark, lang=lang)
    open_all(page)
    assert grave(page) == {}


def test_axe_finds_nothing_serious_in_the_page_of_a_run_that_has_not_ended(show: Show) -> None:
    progress = Unfinished("answer", 12, 960, held=True, rough=True, leader=3, mean=6.5, se=0.2)
    page = show(results.by_blocks(replace(results.without_holdout(), progress=progress)), width=360)
    open_all(page)
    assert page.locator("#verdict").inner_text().startswith("This run has not ended: 12 of 960 answers")
    assert grave(page) == {}


def open_all(page: Page) -> None:
    """Open all details; long tables are filled then."""
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for table in ("trials", "weight-table"):
        expect(page.locator(f"#{table} tbody tr").first).to_be_visible()


def grave(page: Page) -> dict[str, list[str]]:
    """What axe finds serious or critical, by rule, with the elements that it is about."""
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    return {v["id"]: [node["html"][:200] for node in v["nodes"]] for v in found}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [360, 768, 1200, 1920])
def test_no_label_is_clipped(show: Show, width: int, lang: str) -> None:
    page = show(full_run(), width=width, lang=lang)
    open_all(page)
    assert page.evaluate(CLIPPED.replace("LABELS", repr(LABELS))) == []


def test_a_narrow_screen_gets_figures_that_need_no_scrolling(show: Show) -> None:
    page = show(RUN, width=360)
    shown = [f for f in page.locator("figure svg").all() if f.is_visible()]
    assert len(shown) == page.locator("figure").count()
    for figure in shown:
        size = figure.evaluate("e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a")
        assert size > 9
