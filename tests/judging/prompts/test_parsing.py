"""What counts as a rating."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.prompts import patterns
from tvmerge.judging.prompts.parsing import (
    Unreadable,
    read_json_rating,
    read_json_verdict,
    read_rating,
    read_verdict,
)
from tvmerge.judging.prompts.reply_format import RatingFormat, VerdictFormat

TEXT_WITHOUT_BRACKETS = st.text(
    st.characters(blacklist_characters="[]［］﹇﹈【】`\"'＂＇「」『』“”‘’", blacklist_categories=["Cs"])
)


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
        ("Rating: [[8]]/10", 8),
        ("総合評価（10点満点）：[[8]]", 8),
        ("[[6]]。理由は次の通りです。\n1. 正確", 6),
        ('"Rating: [[7]]"', 7),
        ("評価は「[[6]]」です。", 6),
        ("評価：[[6]]<|im_end|>", 6),
        ("満点の[[10]]です。", 10),
        ("評価：[[6]] 以上です。", 6),
        ("Rating: [[6]] when all is considered.", 6),
        ("This deserves a perfect score of [[10]].", 10),
    ],
)
def test_a_rating_is_read(reply: str, rating: float) -> None:
    assert read_rating(reply) == rating


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "as [1] says",
        "[1] の通り、正しい。",
        "see [2].",
        "[8](https://example.com)",
        "8",
        "8点くらいです",
        "評価：8～9",
        "[[11]]",
        "[[0]]",
        "[[-5]]",
        "[[4/5]]",
        "[[80/100]]",
        "[[５]] is the example; 評価：［［１１］］",
        "The template says [[5]]. Rating: [[0]]",
        "例は [[5]] です。Rating: [[8/100]]",
        "[[5]] -> [[-3]]",
        "[[5]] or [[about 7]]",
        "[[rating]]",
        "[ [7] ]",
        "[[٧]]",
        "[[八]]",
        "例：[[5]] 評価：[[八]]",
        "例：\n[[5]]\n評価：[[九]]",
        "Rating: [[eight]]",
        "Rating: [[not sure]]",
        "[[7]]～[[8]]",
        "[[7]] or [[8]]",
        "I'd say [[7]], maybe [[8]]",
        "[[7-8]]",
        "[[7]] at first, and [[4]] came up too",
        "形式は「評価：[[5]]」とのことですが、評価できません。",
        '"Rating: [[5]]" is the form, but there is no answer.',
        "例えば[[5]]のように書きます。",
        "満点は[[10]]です。",
        "On a scale of [[1]] to [[10]].",
        "[[10]]には届かない。",
        "Rating: [[8]]\n\nRating: [[N/A]]",
        "評価：[[8]]\n\n自信は[[9]]",
    ],
)
def test_what_is_no_rating_gives_a_reason(reply: str) -> None:
    reading = read_rating(reply)
    assert isinstance(reading, Unreadable)
    assert reading.reason


@pytest.mark.parametrize(
    ("inside", "rating"),
    [
        ("8点", 8),
        ("８点", 8),
        ("評価：8", 8),
        ("**8**", 8),
        ("Rating: **8.5**", 8.5),
        ("8/10", 8),
        ("8点/10点", 8),
        ("10点満点中8点", 8),
        ("8 points", 8),
        ("7,5", 7.5),
        ("⑧", 8),
    ],
)
def test_a_number_is_known_by_what_it_is_dressed_in(inside: str, rating: float) -> None:
    assert read_rating(f"よい回答。\n評価：[[{inside}]]") == rating


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("\\[\\[8\\]\\]", 8),
        ("評価：\\[[８]\\]", 8),
        ("【【8】】", 8),
        ("評価：⟦8⟧", 8),
        ("[8]", 8),
        ("説明。\n\nRating: [7]", 7),
        ("評価：【7】", 7),
        ("Rating: [[7]", 7),
        ("文献[1]による。評価：[6]", 6),
        ("評価：8", 8),
        ("良い回答です。評価：8/10", 8),
        ("**Score: 7 points**", 7),
        ('{"rating": 8}', 8),
        ('```json\n{"score": "7/10", "why": "[[3]]"}\n```', 7),
    ],
)
def test_other_writing_counts_where_double_brackets_decide_nothing(reply: str, rating: float) -> None:
    assert read_rating(reply) == rating


@pytest.mark.parametrize(
    "quoted", ["[10]", "【【10】】", "\\[\\[10\\]\\]", "評価：10", '{"rating": 10}', "[ [10] ]"]
)
def test_other_writing_does_not_overrule_a_rating_in_double_brackets(quoted: str) -> None:
    assert read_rating(f"Rating: [[3]]\n\nThe answer reads:\n{quoted}") == 3


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ('The form is "Rating: [[5]]".\nRating: [[2]]', 2),
        ("評価：[[1]]\n理由：「評価：[[10]]」という文がある", 1),
        ("評価：[[8]] （満点は[[10]]）", 8),
        ("評価：[[6]]（[[1]]が最低、[[10]]が最高）", 6),
        ("[[8]] / [[10]]", 8),
        ("[[10]]点満点中[[8]]点です。", 8),
        ("[[1]]から[[10]]の範囲で評価すると[[7]]です", 7),
        ("評価：[[8]]。[[10]]には及ばない。", 8),
        ("評価：[[8]]\n\n改善点：リンクは [[1]] を参照", 8),
        ("Rating: [[8]]\n\nNote: see [[3]] for the source.", 8),
        ("[[8]]\n\n例えば「[[rating]]」の形式です", 8),
    ],
)
def test_quotations_scales_and_references_are_no_ratings(reply: str, rating: float) -> None:
    assert read_rating(reply) == rating


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
        rating = RatingFormat(structured=structured).read(text)
        assert isinstance(rating, Unreadable) or 1 <= rating <= 10
        verdict = VerdictFormat(structured).read(text)
        assert isinstance(verdict, Unreadable) or 0 <= verdict <= 1


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[[A]]", "A"),
        ("[[A]] no: [[B]]", "B"),
        ("判定：［［Ｃ］］", "C"),
        ("[[C]] for a tie", "C"),
        ("最初は [[A]] と考えましたが、結論は引き分け：[[Tie]]", "C"),
        ("判定：[[引き分け]]", "C"),
        ("[[Assistant B]]", "B"),
        ("[[**A**]]", "A"),
        ("判定：[[回答A]]", "A"),
        ("\\[\\[B\\]\\]", "B"),
        ('Say "[[A]]" if A is better and "[[C]]" for a tie. Final verdict: [[B]]', "B"),
        ("Final verdict: [[A]]\n\nNot [[B]].", "A"),
    ],
)
def test_a_verdict_is_read(reply: str, verdict: str) -> None:
    assert read_verdict(reply) == verdict


@pytest.mark.parametrize(
    "reply",
    [
        *("", "A", "[A]", "[[D]]", "[[a]]", "[[A]] or [[B]]", "判定：[[N/A]]。例：[[A]]"),
        "最初は[[A]]、最終判定：[[両方]]",
        "「[[A]]」と書く形式ですが、判断できません",
    ],
)
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
        '{"rating": "8/100"}',
        '{"rating": true}',
        '{"rating": null}',
        '{"rating": ' + "9" * 500 + "}",
        'the example {"rating": 5}, mine {"rating": 0}',
        '{"explanation": "it claims [[9]]", "rating": 0}',
    ],
)
def test_json_without_a_rating_gives_a_reason(reply: str) -> None:
    assert isinstance(RatingFormat(structured=True).read(reply), Unreadable)


def test_a_verdict_is_read_from_json() -> None:
    assert read_json_verdict('{"explanation": "", "verdict": "B"}') == "B"
    assert isinstance(read_json_verdict('{"verdict": "D"}'), Unreadable)
    assert isinstance(read_json_verdict('{"verdict": ["A"]}'), Unreadable)
    assert isinstance(VerdictFormat(structured=True).read('{"why": "[[A]]", "verdict": "?"}'), Unreadable)
    assert read_json_verdict("[[A]]") is None


def test_a_structured_form_still_understands_brackets() -> None:
    assert RatingFormat(structured=True).read('{"rating": 4}') == 4
    assert RatingFormat(structured=True).read("Rating: [[4]]") == 4
    assert VerdictFormat(structured=True).read("[[A]]") == 1.0


def test_a_verdict_is_the_share_of_the_first_answer() -> None:
    form = VerdictFormat()
    assert [form.read(f"[[{letter}]]") for letter in "ABC"] == [1.0, 0.0, 0.5]
    assert isinstance(form.read("neither"), Unreadable)


def test_a_plain_form_takes_json_for_a_rating_only_where_it_is_all_that_was_said() -> None:
    assert RatingFormat().read('{"rating": 4}') == 4
    assert isinstance(RatingFormat().read('The answer is {"rating": 4}, which is JSON.'), Unreadable)
    assert isinstance(RatingFormat().read('{"rating": 11, "why": "[[4]]"}'), Unreadable)


def test_the_outermost_of_objects_inside_each_other_has_the_rating() -> None:
    assert read_json_rating('{"rating": 3, "parts": {"rating": 9}}') == 3
    assert read_json_rating('{"result": [{"rating": 9}]}') == 9
    assert read_json_rating('{"explanation": "two\nlines", "rating": 6}') == 6


def test_a_prompt_may_have_a_key_of_its_own() -> None:
    form = RatingFormat(key="score")
    assert form.read('ok: {"score": 8, "rating": 3}') == 8
    assert form.read("no JSON, but [[7]]") == 7
    assert RatingFormat(key="score", structured=True).schema["required"] == ["explanation", "score"]


def test_a_prompt_may_have_a_pattern_of_its_own() -> None:
    form = RatingFormat(0, 100, pattern=r"FINAL SCORE:\s*([^\s]+)")
    assert form.read("FINAL SCORE: 20\nNo.\nFINAL SCORE: ８５点") == 85
    assert form.read("<think>FINAL SCORE: 1</think>FINAL SCORE: 2") == 2
    assert isinstance(form.read("[[50]]"), Unreadable)
    assert isinstance(form.read("FINAL SCORE: 500"), Unreadable)
    assert isinstance(form.read("FINAL SCORE: 20\nFINAL SCORE: none"), Unreadable)


def test_a_pattern_that_backtracks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)
    reading = RatingFormat(pattern=r"^(?:(?:a|b|ab)*)*(c?)$").read("ab" * 40 + "!")
    assert reading == Unreadable("the prompt's rating_pattern takes too long on the reply")


def test_a_number_or_letter_counts_by_itself_where_it_alone_was_asked_for() -> None:
    assert RatingFormat().read(" **8** ", alone=True) == 8
    assert RatingFormat().read("8点です。", alone=True) == 8
    assert RatingFormat().read("[[8]]", alone=True) == 8
    assert isinstance(RatingFormat().read("I cannot say.", alone=True), Unreadable)
    assert isinstance(RatingFormat().read("11", alone=True), Unreadable)
    assert VerdictFormat().read("B", alone=True) == 0
    assert isinstance(VerdictFormat().read("Both", alone=True), Unreadable)


def test_schemas_name_what_is_read() -> None:
    assert RatingFormat().schema["required"] == ["explanation", "rating"]
    assert VerdictFormat().schema["required"] == ["explanation", "verdict"]


@pytest.mark.parametrize(
    "text",
    [
        "評価：[[4]]/5",
        "Rating: [[4]] out of 5",
        "評価：[[4]]（5点満点）",
        "5点満点中[[4]]です。",
        "評価：[[8]]点/100点",
    ],
)
def test_a_rating_on_another_scale_is_none(text: str) -> None:
    assert isinstance(read_rating(text), Unreadable)


@pytest.mark.parametrize(
    "text",
    ["評価：[[8]]/10", "評価：[[8]]（10点満点）", "評価：[[8]]。5点満点なら[[4]]。", "[[8]] out of 10"],
)
def test_a_rating_says_its_own_scale_or_another_one_beside(text: str) -> None:
    assert read_rating(text) == 8


@pytest.mark.parametrize(
    "text",
    [
        "Accuracy: [[8]]\nStyle: [[6]]",
        "正確性：[[8]]\n流暢性：[[6]]",
        "1. 正確性の評価：[[8]]\n2. 文体の評価：[[6]]",
        "Assistant A: [[8]], Assistant B: [[6]]",
        "| Accuracy | [[8]] |\n| Style | [[6]] |",
    ],
)
def test_ratings_of_parts_are_no_rating_of_the_whole(text: str) -> None:
    assert isinstance(read_rating(text), Unreadable)


@pytest.mark.parametrize(
    "text",
    [
        "Accuracy: [[8]]\nStyle: [[6]]\nOverall: [[7]]",
        "正確性：[[8]]\n流暢性：[[6]]\n総合評価：[[7]]",
        "正確性：[[8]]\n流暢性：[[6]]\n\n[[7]]",
        "Initial rating: [[5]]\nRevised rating: [[7]]",
        "Quality: [[7]]",
        "Accuracy: [[7]]\nStyle: [[7]]",
    ],
)
def test_a_rating_of_the_whole_is_told_from_those_of_parts(text: str) -> None:
    assert read_rating(text) == 7


@pytest.mark.parametrize(
    "text",
    [
        "Turn 1: [[9]]\nTurn 2: [[4]]",
        "First turn: [[9]]\nSecond turn: [[4]]",
        "ターン1：[[9]]\nターン2：[[4]]",
        "1回目の回答：[[9]]\n2回目の回答：[[4]]",
        "質問1：[[9]]\n質問2：[[4]]",
    ],
)
def test_of_ratings_turn_by_turn_the_last_one_counts(text: str) -> None:
    assert read_rating(text) == 4


def test_the_schema_of_a_verdict_asks_for_nothing_else() -> None:
    assert VerdictFormat(structured=True).schema == {
        "type": "object",
        "properties": {
            "explanation": {"type": "string"},
            "verdict": {"type": "string", "enum": ["A", "B", "C"]},
        },
        "required": ["explanation", "verdict"],
        "additionalProperties": False,
    }
