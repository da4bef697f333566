"""The page of a run, parsed as a browser would."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report import results
from tests.report.html_tree import Node, parse
from tvmerge.records import Answer, Question, Rating, Unrated
from tvmerge.report.caveats import caveats
from tvmerge.report.conclusion import conclusion
from tvmerge.report.page import payload
from tvmerge.report.page.page import render_page, write_page
from tvmerge.report.result import ContenderKey, RunRecord, Sample
from tvmerge.report.result_file import as_json

RUN = results.rated(6)
PAGE = render_page(RUN)

HOSTILE = (
    "<script>document.title = 'pwned'</script>",
    "</script><script>document.title = 'pwned'</script>",
    "</div></article></main><img src=x onerror=\"document.title = 'pwned'\">",
    "\"'><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "\u202egnp.exe \u2066 مرحبا \u200f",
    "<!-- <textarea> &lt;b&gt; ]]>",
    "a\ud800b",
)


@pytest.fixture(scope="module")
def page() -> Node:
    return parse(PAGE)


def run_with(sample: Sample) -> RunRecord:
    """A run whose contenders all gave one answer."""
    made = results.simple()
    return replace(made, contenders=tuple(replace(c, samples=(sample,)) for c in made.contenders))


def hostile_run(text: str) -> RunRecord:
    """A run with the text in every place that comes from outside."""
    asked = Question(text, text, (text, text), (text,))
    judgments = (
        Rating(text, 1, 5, text, text, reply=text, note=text),
        Unrated(text, 2, text, text, text, reply=text),
    )
    answer = Answer(text, (text, text), ("stop", "length"))
    made = replace(
        run_with(Sample(asked, answer, judgments)),
        study=text,
        benchmark=text,
        judge=text,
        models={text: text},
        settings={text: text, "nested": {"a": [text]}},
        output=text,
    )
    best, *others = made.contenders
    return replace(made, contenders=(replace(best, weights={text: 1.5}), *others))


def data_of(page: Node) -> Any:
    """The data from which the page's script shows answers and tables."""
    data = json.loads(page.one("script", id="data").text)
    said = [turns for part in page.all("script", class_="part") for turns in json.loads(part.text)]
    for question, turns in zip(data["questions"], said, strict=True):
        question["turns"] = turns
    return data


def questions(result: RunRecord) -> Any:
    """The questions as the script gets them."""
    return data_of(parse(render_page(result)))["questions"]


def test_it_is_written_whole_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_page(path, results.simple())
    write_page(path, RUN)
    assert path.read_text(encoding="utf-8") == PAGE
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("packed_from", [payload.PACKED_FROM, 1_000_000])
def test_a_large_page_is_never_in_memory_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed_from: int
) -> None:
    monkeypatch.setattr(payload, "PACKED_FROM", packed_from)
    text = "".join(random.Random(1).choices("abcdefgh", k=8_000))
    samples = tuple(
        Sample(Question(n, "c", ("q",)), Answer(n, (text,), ("stop",)), (Rating(n, 1, 7, "j", "single-v1"),))
        for n in range(300)
    )
    made = results.simple()
    made = replace(made, contenders=tuple(replace(c, samples=samples) for c in made.contenders))
    path = tmp_path / "report.html"
    write_page(path, results.simple())  # what is loaded once
    tracemalloc.start()
    try:
        write_page(path, made)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3_000_000  # of texts of 9.6 MB
    assert path.read_text(encoding="utf-8") == render_page(made)


def test_the_headline_is_the_conclusion_and_what_qualifies_it(page: Node) -> None:
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("h1").text == RUN.study
    assert page.one(id="verdict").text == conclusion(RUN)
    assert [item.text for item in page.one(id="remarks").all("li")] == list(caveats(RUN))


def test_every_link_of_the_page_leads_to_a_section(page: Node) -> None:
    targets = [link.attributes["href"] for link in page.one("nav").all("a")]
    assert targets == ["#contenders", "#search", "#weights", "#figure-spending", "#answers", "#settings"]
    for target in targets:
        assert page.one("section", id=target.removeprefix("#")).all("h2")


def test_no_id_occurs_twice(page: Node) -> None:
    counts = Counter(node.attributes["id"] for node in page.all() if "id" in node.attributes)
    assert max(counts.values()) == 1


def test_each_figure_is_on_it_for_wide_and_for_narrow_screens(page: Node) -> None:
    titles = [
        "Scores of the contenders",
        "Mean rating by category",
        "Score of each trial of the search",
        "Weights of the winner by layer and kind",
        "Weights of the winner",
        "Score against weight",
        "Calls, cost and time",
    ]
    for class_ in ("on-wide", "on-narrow"):
        shown = [figure.one("svg").all("title")[0].text for figure in page.all("div", class_=class_)]
        assert shown == titles


def test_a_figure_without_data_leaves_a_sentence_or_nothing(page: Node) -> None:
    assert [note.text for note in page.all("p", class_="figure-note")] == [
        "Importances need 50 drawn candidates with a score; this search has 37."
    ]


def test_the_contenders_stand_in_a_table_with_both_scores_and_the_gain(page: Node) -> None:
    table = page.one("section", id="contenders").all("table")[0]
    rows = [[cell.text for cell in row.children if isinstance(cell, Node)] for row in table.all("tr")]
    assert rows[0] == ["Candidate", "Trial", "Search", "Held-out", "Winner gains"]
    assert [row[0] for row in rows[1:]] == [
        "weight 0 (the untouched target)",
        "weight 1 (the plain task vector)",
        "best uniform weight (0.7)",
        "winner",
    ]
    assert re.fullmatch(r"\+\d\.\d\d \[[+-]\d\.\d\d, \+\d\.\d\d\]", rows[1][4])
    assert rows[4][1:3] == ["23", "6.95 ± 0.21"]


def test_the_script_gets_all_trials_and_all_weights(page: Node) -> None:
    assert page.one("table", id="trials").one("tbody").children == []
    trials, weights = data_of(page)["tables"]["trials"], data_of(page)["tables"]["weight-table"]
    assert len(trials["rows"]) == len(RUN.trials)
    assert trials["rows"][10] == ["10", "failed", "-", "-", "22", "40%"]
    assert trials["best"] == str(RUN.contenders[0].trial)
    assert [name for name, _ in weights["rows"]] == list(RUN.contenders[0].weights)
    assert weights["rows"][0][1] == f"{RUN.contenders[0].weights['embeddings']:.4f}"


def test_candidates_of_a_search_by_blocks_are_finalists_or_estimated_and_none_was_stopped() -> None:
    raced = replace(RUN, trials=tuple(replace(t, state="PRUNED") for t in RUN.trials[:2]) + RUN.trials[2:3])
    shown = render_page(results.by_blocks(raced))
    rows = data_of(parse(shown))["tables"]["trials"]["rows"]
    assert [row[1] for row in rows] == ["estimated", "estimated", "finalist"]
    assert "Estimated scores in the search and mean ratings" in shown


def test_answers_stand_side_by_side_with_scores_and_the_judges_words(page: Node) -> None:
    data = data_of(page)
    assert len(data["questions"]) == 6
    assert [column["label"] for column in data["columns"]] == [
        "weight 0 (the untouched target)",
        "weight 1 (the plain task vector)",
        "best uniform weight (0.7)",
        "winner",
    ]
    sample, question = RUN.contenders[0].samples[0], data["questions"][0]
    assert (question["id"], question["category"]) == ("81", sample.question.category)
    (reply,) = question["turns"][1]["replies"][3]
    rating = sample.judgments[1]
    assert isinstance(rating, Rating)
    assert reply["text"] == sample.answer.turns[1]
    assert reply["judgments"] == [[f"{rating.score:g}", rating.reply, "", "judge-x"]]


def test_a_uniform_weight_that_is_another_contender_is_shown_once() -> None:
    uniform = RUN.contenders[3]
    same = replace(RUN, contenders=(*RUN.contenders[:3], replace(uniform, weights=results.uniform(1))))
    keys = [column["key"] for column in data_of(parse(render_page(same)))["columns"]]
    assert keys == ["weight_0", "weight_1", "best"]


def test_a_question_says_whether_the_best_is_better(page: Node) -> None:
    means = {key: _means(key) for key in ("best", "weight_1")}
    for question, best, baseline in zip(
        data_of(page)["questions"], means["best"], means["weight_1"], strict=True
    ):
        expected = "same" if best == baseline else "better" if best > baseline else "worse"
        assert question["change"] == expected
        assert question["lead"] == pytest.approx(best - baseline)


def _means(key: ContenderKey) -> list[float]:
    found = RUN.contender(key)
    assert found is not None
    ratings = [[j.score for j in s.judgments if isinstance(j, Rating)] for s in found.samples]
    return [sum(given) / len(given) for given in ratings]


def test_without_scripts_the_page_says_where_the_answers_are(page: Node) -> None:
    assert "hidden" in page.one(id="browser").attributes
    assert "holdout/" in page.one("noscript").text


def test_the_filter_offers_every_category_once(page: Node) -> None:
    category, change, _ = page.one(id="browser").all("select")
    values = [option.attributes["value"] for option in category.all("option")]
    assert values == ["", "=writing", "=humanities", "=math"]
    assert [option.attributes["value"] for option in change.all("option")] == [
        "",
        "=better",
        "=same",
        "=worse",
    ]


def test_references_are_there_where_there_are_some(page: Node) -> None:
    shown = [
        turn["reference"] for q in data_of(page)["questions"] for turn in q["turns"] if turn["reference"]
    ]
    maths = [s for s in RUN.contenders[0].samples if s.question.reference]
    assert len(shown) == sum(len(s.question.reference) for s in maths) > 0


def test_several_samples_of_an_answer_stand_under_each_other() -> None:
    asked = results.question(81)
    first, second = results.sample(asked, [7, 8], text="一"), results.sample(asked, [5, 6], text="二")
    made = results.simple()
    both = replace(made, contenders=tuple(replace(c, samples=(first, second)) for c in made.contenders))
    replies = questions(both)[0]["turns"][0]["replies"][-1]
    assert [[rating for rating, *_ in reply["judgments"]] for reply in replies] == [["7"], ["5"]]


def test_what_has_no_rating_says_why() -> None:
    asked = Question(1, "writing", ("話して。", "もっと。", "終わり。"))
    judgments = (
        Unrated(1, 1, "judge-x", "p", "the reply was cut off", reply="It is"),
        Rating(1, 2, 1.0, "judge-x", "p", note="empty answer"),
    )
    sample = Sample(asked, Answer(1, ("はい", " ", "…"), ("length", "stop", "stop")), judgments)
    (question,) = questions(run_with(sample))
    assert question["change"] == "same"
    first, second, third = (turn["replies"][-1][0] for turn in question["turns"])
    assert first["end"] == "length"
    assert first["judgments"] == [["-", "It is", "the reply was cut off", "judge-x"]]
    assert second["judgments"] == [["1", "", "empty answer", "judge-x"]]
    assert third["judgments"] == []


def test_a_turn_without_an_answer_has_no_reply() -> None:
    asked = Question(1, "writing", ("話して。", "もっと。"))
    sample = Sample(asked, Answer(1, ("はい",), ("stop",)), ())
    (question,) = questions(run_with(sample))
    assert (question["change"], question["lead"]) == ("unknown", None)
    assert all(not replies for replies in question["turns"][1]["replies"])


def test_a_run_without_a_holdout_and_without_answers_has_a_page() -> None:
    made = results.without_holdout()
    page = parse(render_page(made))
    assert page.one(id="verdict").text == conclusion(made)
    assert "unmeasured" in page.one(id="verdict").classes
    headings = [cell.text for cell in page.one("section", id="contenders").one("thead").all("th")]
    assert "Held-out" not in headings
    assert page.all(id="answers") == []
    assert "#answers" not in [link.attributes["href"] for link in page.all("a")]


def test_settings_are_kept_for_the_record(page: Node) -> None:
    rows = page.one("section", id="settings").all("tr")
    assert {row.one("th").text: row.one("td").text for row in rows} == {
        "optimize_mode": "layer",
        "n_trials": "40",
        "uniform_weights": "[0.5]",
        "chat_template": "null",
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_wherever_it_comes_from(text: str) -> None:
    usual = parse(render_page(hostile_run("plain")))
    page = parse(render_page(hostile_run(text)))
    assert Counter(node.tag for node in page.all()) == Counter(node.tag for node in usual.all())
    assert {key for node in page.all() for key in node.attributes} == {
        key for node in usual.all() for key in node.attributes
    }
    (question,) = data_of(page)["questions"]
    answers = {reply["text"] for turn in question["turns"] for side in turn["replies"] for reply in side}
    assert answers == {text.replace("\ud800", "\ufffd")}


def test_the_data_contains_no_mark_of_html() -> None:
    page = parse(render_page(hostile_run("".join(HOSTILE))))
    texts = [script.text for script in page.all("script", type="application/json")]
    assert len(texts) == 2
    assert not set("".join(texts)) & set("<>&\u2028\u2029")


def test_the_policy_allows_the_pages_own_script_and_styles_and_nothing_else(page: Node) -> None:
    (meta,) = [m for m in page.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in meta.attributes["content"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == _digest(page.all("script")[-1].text)
    styles = {_digest(node.text) for node in page.all("style")}
    assert set(policy["style-src"].split()) == styles
    assert not any(key.startswith("on") or key == "style" for node in page.all() for key in node.attributes)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_asks_the_network_for_nothing(page: Node) -> None:
    assert page.all("link") == page.all("img") == page.all("iframe") == []
    assert not any("src" in node.attributes for node in page.all())
    outside = [n.attributes["href"] for n in page.all() if not n.attributes.get("href", "#").startswith("#")]
    assert outside == []
    assert "url(" not in PAGE
    assert "@import" not in PAGE


def test_thoughts_are_folded_beside_their_answers_and_unfinished_ones_are_counted() -> None:
    asked = results.question(81)
    rated = results.sample(asked, [7, 1])
    answer = Answer(81, ("東京です。", ""), ("stop", "thought"), thoughts=("<b>首都は…", "本当に…"))
    made = run_with(replace(rated, answer=answer))
    page = parse(render_page(made))
    first, second = (turn["replies"][0][0] for turn in data_of(page)["questions"][0]["turns"])
    assert (first["thought"], first["end"]) == ("<b>首都は…", "")
    assert (second["text"], second["end"]) == ("", "thought")
    traits = page.one("table", id="traits")
    assert "Cut in thought" in traits.text
    assert traits.text.count("50%") == len(made.contenders)
    assert as_json(made)["answers"]["best"] == {"turns": 2, "cut_off": 0, "cut_in_thought": 1}


def test_what_a_longer_search_can_gain_is_a_sentence(page: Node) -> None:
    found = {"answers": 9, "gain": 0.1, "regret": 0.2, "regret_95": 0.3}
    stopped = {**found, "stop_when": "0.1 points per USD", "stopped": True}
    (sentence,) = parse(render_page(replace(RUN, prospects=stopped))).all("p", id="prospects")
    assert sentence.text == (
        "Stopped after 9 answers: expected gain of as many again under 0.1 points per USD; "
        "estimated regret 0.2 (95%: up to 0.3)."
    )
    assert page.all("p", id="prospects") == []


def test_a_run_without_thoughts_says_nothing_of_them(page: Node) -> None:
    assert "thought" not in page.one("main").text.lower()


def test_a_reply_that_rates_several_turns_is_shown_once() -> None:
    asked, reply = Question(1, "writing", ("一", "二")), "Both are fine. Turn 1: [[7]] Turn 2: [[5]]"
    ratings = [
        Rating(1, turn, score, judge, "single-v1-all-turns", "the conversation", reply, sample)
        for turn, score in ((1, 7.0), (2, 5.0))
        for judge in ("first", "second")
        for sample in (0, 1)
    ]
    once = render_page(run_with(Sample(asked, Answer(1, ("甲", "乙"), ("stop", "stop")), tuple(ratings))))
    columns = 4
    assert once.count("Both are fine.") == columns * 4
    assert once.count("first: see turn 1") == once.count("second: see turn 1") == columns * 2
    apart = [replace(rating, user_prompt=f"turn {rating.turn}") for rating in ratings]
    twice = render_page(run_with(Sample(asked, Answer(1, ("甲", "乙"), ("stop", "stop")), tuple(apart))))
    assert twice.count("Both are fine.") == columns * 8
    assert "see turn" not in twice
