"""What counts as a rating."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.forms import RatingForm, VerdictForm
from tvmerge.judging.parsing import Unreadable, read_json_rating, read_json_verdict, read_rating, read_verdict

TEXT_WITHOUT_BRACKETS = st.text(st.characters(blacklist_characters="[]［］﹇﹈", blacklist_categories=["Cs"]))


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("Rating: [[7]]", 7),
        ("評価：［［７］］", 7),
        ("評価：[[7]]（10点満点中）", 7),
        ("[[7]] at first, but on the whole [[4]]", 4),
        ("[[8.5]]", 8.5),
        ("［［８．５］］", 8.5),
        ("[[08]]", 8),
        ("[[ 6 ]]", 6),
        ("[[7.]]", 7),
        ("**Rating: [[10]]**", 10),
        ("[[11]] is too much, hence [[10]]", 10),
        ("[[8/10]], that is [[8]]", 8),
        ("[[7]], better than [[A]] and [[note]]", 7),
        ("[[[3]]]", 3),
    ],
)
def test_a_rating_is_read(reply: str, rating: float) -> None:
    assert read_rating(reply) == rating


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Rating: 7",
        "as [1] says",
        "[[11]]",
        "[[0]]",
        "[[-5]]",
        "[[7/10]]",
        "[[５]] is the example; 評価：［［１１］］",
        "The template says [[5]]. Rating: [[0]]",
        "例は [[5]] です。Rating: [[8/10]]",
        "[[5]] -> [[-3]]",
        "[[5]] or [[about 7]]",
        "[[rating]]",
        "[ [7] ]",
        "[[٧]]",
    ],
)
def test_what_is_no_rating_gives_a_reason(reply: str) -> None:
    reading = read_rating(reply)
    assert isinstance(reading, Unreadable)
    assert reading.reason


def test_a_rating_off_the_scale_is_named_in_the_reason() -> None:
    assert read_rating("[[11]]") == Unreadable("no rating from 1 to 10: [[11]]")


def test_the_scale_bounds_the_rating() -> None:
    assert read_rating("[[50]] [[5]]", 1, 5) == 5
    assert isinstance(read_rating("[[5]]", 1, 4), Unreadable)
    assert read_rating("[[0]]", 0, 1) == 0


@given(TEXT_WITHOUT_BRACKETS, st.integers(1, 10), TEXT_WITHOUT_BRACKETS)
def test_any_text_around_a_rating_leaves_it_as_it_is(before: str, rating: int, after: str) -> None:
    assert read_rating(f"{before}[[{rating}]]{after}") == rating


@given(st.lists(st.integers(0, 20), min_size=1))
def test_the_last_rating_wins_and_must_be_on_the_scale(ratings: list[int]) -> None:
    reading = read_rating(" then ".join(f"[[{rating}]]" for rating in ratings))
    assert reading == ratings[-1] if 1 <= ratings[-1] <= 10 else isinstance(reading, Unreadable)


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    for structured in (False, True):
        rating = RatingForm(structured=structured).read(text)
        assert isinstance(rating, Unreadable) or 1 <= rating <= 10
        verdict = VerdictForm(structured).read(text)
        assert isinstance(verdict, Unreadable) or 0 <= verdict <= 1


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [("[[A]]", "A"), ("[[A]] no: [[B]]", "B"), ("判定：［［Ｃ］］", "C"), ("[[C]] for a tie", "C")],
)
def test_a_verdict_is_read(reply: str, verdict: str) -> None:
    assert read_verdict(reply) == verdict


@pytest.mark.parametrize("reply", ["", "A", "[A]", "[[D]]", "[[a]]"])
def test_what_is_no_verdict_gives_a_reason(reply: str) -> None:
    assert isinstance(read_verdict(reply), Unreadable)


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ('{"explanation": "good", "rating": 8}', 8),
        ('```json\n{"rating": 7.5}\n```', 7.5),
        ('{"rating": "９"}', 9),
        ('quoted: {"rating": 10}, mine: {"rating": 2}', 2),
        ('{"rating": 3} {"note": "no rating here"}', 3),
        ('{broken {"rating": 6}', 6),
    ],
)
def test_a_rating_is_read_from_json(reply: str, rating: float) -> None:
    assert read_json_rating(reply) == rating


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "8",
        '{"rating": 11}',
        '{"rating": true}',
        '{"rating": null}',
        '{"rating": ' + "9" * 500 + "}",
        'the example {"rating": 5}, mine {"rating": 0}',
        '{"explanation": "it claims [[9]]", "rating": 0}',
    ],
)
def test_json_without_a_rating_gives_a_reason(reply: str) -> None:
    assert isinstance(RatingForm(structured=True).read(reply), Unreadable)


def test_a_verdict_is_read_from_json() -> None:
    assert read_json_verdict('{"explanation": "", "verdict": "B"}') == "B"
    assert isinstance(read_json_verdict('{"verdict": "D"}'), Unreadable)
    assert isinstance(read_json_verdict('{"verdict": ["A"]}'), Unreadable)
    assert isinstance(VerdictForm(structured=True).read('{"why": "[[A]]", "verdict": "?"}'), Unreadable)
    assert read_json_verdict("[[A]]") is None


def test_a_structured_form_still_understands_brackets() -> None:
    assert RatingForm(structured=True).read('{"rating": 4}') == 4
    assert RatingForm(structured=True).read("Rating: [[4]]") == 4
    assert VerdictForm(structured=True).read("[[A]]") == 1.0


def test_a_verdict_is_the_share_of_the_first_answer() -> None:
    form = VerdictForm()
    assert [form.read(f"[[{letter}]]") for letter in "ABC"] == [1.0, 0.0, 0.5]
    assert isinstance(form.read("neither"), Unreadable)


def test_a_plain_form_does_not_take_json_for_a_rating() -> None:
    assert isinstance(RatingForm().read('{"rating": 4}'), Unreadable)


def test_schemas_name_what_is_read() -> None:
    assert RatingForm().schema["required"] == ["explanation", "rating"]
    assert VerdictForm().schema["required"] == ["explanation", "verdict"]
