"""What answers and judges write does nothing in the page but stand there.

Several modules: the page with its data, scripts and security policy.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.report import results
from tests.report.browser.conftest import Show
from tests.report.page.test_page import HOSTILE, hostile_run
from tvmerge.report.page.page import render_page


@pytest.mark.parametrize("text", ["".join(HOSTILE), *HOSTILE[:3]])
def test_planted_scripts_and_handlers_are_text(show: Show, text: str) -> None:
    page = show(hostile_run(text))
    for summary in page.locator("summary").all():
        summary.click()
    assert "pwned" not in page.evaluate("[document.title.split(' - ').pop(), String(window.pwned)].join()")
    assert page.locator("article img, article svg, article script, article textarea").count() == 0
    shown = page.locator("article .side.best .reply > .text").first.text_content()
    assert shown == text.replace("\ud800", "\ufffd")
    assert page.locator("article .text").first.evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"


def test_the_policy_stops_a_script_that_is_not_the_pages_own(show: Show) -> None:
    html = render_page(results.rated(3))
    planted = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
    page = show(html.replace("</body>", f"{planted}</body>"), strict=False)
    expect(page.locator("article")).to_have_count(3)
    assert page.evaluate("window.pwned") is None
