"""The page in a real browser, where one is installed.

Several modules: the page with its template, style and script.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report import results
from tests.report.html_tree import Node, parse
from tests.report.page.test_page import HOSTILE, hostile_run
from tvmerge.report.page.page import render_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")

CHOOSE_MATH = """
const [category, change] = document.querySelectorAll("#filter select");
category.value = "=math";
category.dispatchEvent(new Event("change", {bubbles: true}));
"""


def rendered(html: str, folder: Path) -> Node:
    """The page as it is after its scripts have run."""
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], check=True, capture_output=True, text=True, timeout=120
    )
    return parse(done.stdout)


def test_hostile_answers_run_nothing_and_the_filter_appears(tmp_path: Path) -> None:
    page = rendered(render_page(hostile_run("".join(HOSTILE[:5]))), tmp_path)
    assert page.one("head").one("title").text.startswith("<script>document.title = 'pwned'</script>")
    assert "hidden" not in page.one(id="filter").attributes
    assert page.one("output").text == "1 of 1 shown"


def test_the_policy_stops_a_script_that_is_not_the_pages_own(tmp_path: Path) -> None:
    html = render_page(results.rated(3))
    page = rendered(html.replace("</body>", "<script>document.title = 'pwned'</script></body>"), tmp_path)
    assert page.one("head").one("title").text == "swallow-ja-mt-bench - tvmerge"


def test_choosing_a_category_hides_the_others(tmp_path: Path) -> None:
    html = render_page(results.rated(6)).replace('http-equiv="Content-Security-Policy"', "")
    page = rendered(html.replace("</body>", f"<script>{CHOOSE_MATH}</script></body>"), tmp_path)
    shown = [a for a in page.all("article") if "hidden" not in a.attributes]
    assert [a.attributes["data-category"] for a in shown] == ["math", "math"]
    assert page.one("output").text == "2 of 6 shown"
