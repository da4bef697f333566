"""The browser of answers in a real browser: what is in the document, filters, search, pages and keys.

Several modules: the scripts in report/page/script/.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from tests.report import results
from tests.report.browser.conftest import Show
from tvmerge.records import Answer
from tvmerge.report.page import payload
from tvmerge.report.page.page import render_page
from tvmerge.report.result import RunRecord, Sample

RUN = results.rated(24)


def with_text(run: RunRecord, number: int, text: str) -> RunRecord:
    """The run with another answer of the best to one question."""
    best, *others = run.contenders
    samples = [_answering(s, text) if s.question.question_id == number else s for s in best.samples]
    return replace(run, contenders=(replace(best, samples=tuple(samples)), *others))


def _answering(sample: Sample, text: str) -> Sample:
    old = sample.answer
    return replace(sample, answer=Answer(old.question_id, (text, *old.turns[1:]), old.finish))


def titles(page: Page) -> list[str]:
    return page.locator("article h3").all_inner_texts()


def current(page: Page) -> str:
    return page.locator("article[aria-current] h3").inner_text()


def test_only_one_page_of_questions_is_in_the_document(show: Show) -> None:
    page = show(RUN)
    assert page.locator("article").count() == 10
    assert page.locator("#browser output").inner_text() == "24 of 24 questions"
    page.locator("#browser .pager").get_by_role("button", name="Next").click()
    page.locator("#browser .pager").get_by_role("button", name="Next").click()
    assert titles(page) == [f"Question {number}" for number in range(101, 105)]
    expect(page.locator("#browser .pager").get_by_role("button", name="Next")).to_be_disabled()


def test_much_data_is_packed_and_shown_all_the_same(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "PACKED_FROM", 1_000)
    page = show(with_text(RUN, 81, "</script>\ud800 春"))
    packed = page.evaluate("typeof JSON.parse(document.querySelector('.part').textContent)")
    assert packed == "string"
    expect(page.locator("article")).to_have_count(10)
    assert page.locator(".side.best .text").first.inner_text() == "</script>\ufffd 春"


def test_only_what_is_said_to_the_questions_on_screen_is_read(show: Show) -> None:
    html = render_page(RUN)
    start = html.rindex('class="part">') + len('class="part">')
    page = show(html[:start] + "no JSON" + html[html.index("</script>", start) :])
    next_page = page.locator("#browser .pager").get_by_role("button", name="Next")
    next_page.click()
    assert titles(page) == [f"Question {number}" for number in range(91, 101)]


def test_a_question_shows_all_contenders_with_ratings_and_the_judges_words(show: Show) -> None:
    card = show(RUN).locator("article").first
    assert card.locator(".sides").first.locator("h4").all_inner_texts() == [
        "weight 0 (the untouched target)",
        "weight 1 (the plain task vector)",
        "best uniform weight (0.7)",
        "winner",
    ]
    judgment = RUN.contenders[0].samples[0].judgments[0]
    best = card.locator(".sides").first.locator(".side.best")
    assert best.locator(".rating").inner_text() == f"{getattr(judgment, 'score', 0):g}"
    words = best.locator("details .text")
    expect(words).to_be_hidden()
    best.get_by_text("judge-x").click()
    expect(words).to_have_text(judgment.reply)


def test_filters_show_what_fits_and_say_how_many(show: Show) -> None:
    page = show(RUN)
    page.get_by_role("combobox", name="Category").select_option("math")
    assert set(page.locator("article .category").all_inner_texts()) == {"math"}
    page.get_by_role("combobox", name="The winner is").select_option("better")
    better = page.locator("article").count()
    assert page.locator("#browser output").inner_text() == f"{better} of 24 questions"
    assert page.locator("article .change.better").count() == better > 0


def test_the_order_begins_with_the_largest_loss(show: Show) -> None:
    page = show(RUN)
    page.get_by_role("combobox", name="Order").select_option("loss")
    assert "worse" in page.locator("article .change").first.inner_text()


def test_text_search_finds_answers_whatever_the_width_of_their_letters(show: Show) -> None:
    page = show(with_text(RUN, 90, "ＧＰＵは速い。"))
    page.keyboard.press("/")
    page.keyboard.type("gpu")
    expect(page.locator("#browser output")).to_have_text("1 of 24 questions")
    assert titles(page) == ["Question 90"]
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert current(page) == "Question 90"


def test_found_words_are_marked(show: Show) -> None:
    page = show(RUN)
    page.get_by_role("searchbox").fill("桜")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("searchbox").blur()
    assert page.evaluate("CSS.highlights.get('found').size") > 0


def test_keys_go_from_question_to_question_and_from_page_to_page(show: Show) -> None:
    page = show(RUN)
    seen = []
    for _ in range(12):
        page.keyboard.press("j")
        seen.append(current(page))
    assert seen == [f"Question {number}" for number in range(81, 93)]
    for _ in range(2):
        page.keyboard.press("k")
    assert current(page) == "Question 90"
    assert page.evaluate("document.activeElement.tagName") == "ARTICLE"
    assert page.locator("article[aria-current]").evaluate("e => e.getBoundingClientRect().top >= 0")


def test_letters_typed_into_the_search_are_no_keys(show: Show) -> None:
    page = show(RUN)
    page.get_by_role("searchbox").press_sequentially("jk/")
    assert page.get_by_role("searchbox").input_value() == "jk/"
    assert page.locator("article[aria-current]").count() == 0


@pytest.mark.parametrize("table", ["trials", "weight-table"])
def test_a_long_table_is_filled_when_it_is_opened_and_has_pages(show: Show, table: str) -> None:
    groups = [f"layers.{number}" for number in range(120)]
    page = show(results.rated(3, groups, results.trials(120)))
    body = page.locator(f"#{table} tbody")
    assert body.locator("tr").count() == 0
    details = page.locator("details").filter(has=page.locator(f"#{table}"))
    details.locator("summary").click()
    expect(body.locator("tr")).to_have_count(50)
    details.get_by_role("button", name="Next").click()
    details.get_by_role("button", name="Next").click()
    expect(body.locator("tr")).to_have_count(20)
    expect(details.locator(".place")).to_have_text("101 to 120 of 120")


def test_the_row_of_the_best_stands_out(show: Show) -> None:
    page = show(RUN)
    page.get_by_text("All 40 trials").click()
    assert page.locator("#trials tr.best th").inner_text() == "23"
