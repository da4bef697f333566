"""Chromium for the tests of the page.

Without it they are skipped; with `TVMERGE_REQUIRE_BROWSER=1` that is a failure. `TVMERGE_SCREENSHOTS` names a
folder that keeps what the page looked like.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tvmerge.report.page.page import render_page
from tvmerge.report.result import RunRecord

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Show = Callable[..., "Page"]
"""Opens the page of a run, or a page of HTML, in the browser."""


@pytest.fixture(scope="module")  # no longer: while it is open, its event loop keeps others from running
def browser() -> Iterator[Browser]:
    """Chromium with an empty profile."""
    if CHROMIUM is None:
        reason = "needs Chromium (Debian: apt-get install chromium)"
        if os.environ.get("TVMERGE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Show]:
    """Opens pages; fails at the end if one of them wrote an error to the console or asked for a file."""
    opened: list[Page] = []
    complaints: list[str] = []

    def open_page(
        run: RunRecord | str, *, width: int = 1200, dark: bool = False, strict: bool = True, **more: str
    ) -> Page:
        path = tmp_path / "page.html"
        html = run if isinstance(run, str) else render_page(run, **more)
        path.write_text(html, encoding="utf-8")
        url = path.as_uri()
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        if strict:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda asked: complaints.append(asked.url) if asked.url != url else None)
        page.goto(url)
        opened.append(page)
        return page

    yield open_page
    for number, page in enumerate(opened):
        _keep(page, f"{request.node.name}-{number}")
        page.close()
    assert complaints == []


def _keep(page: Page, name: str) -> None:
    """Keep a picture of a page, if a folder for pictures is named."""
    if folder := os.environ.get("TVMERGE_SCREENSHOTS"):
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
        page.screenshot(path=str(Path(folder) / f"{safe}.png"), full_page=True)
