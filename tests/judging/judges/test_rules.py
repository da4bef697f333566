"""The offline judge rates by its stated rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge._util.canonical import canonical_json
from tvmerge.judging.judges.rules import PROMPT, RulesJudge, is_complete, is_japanese, rate, repeats
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Finish, Question, Rating

SUM = ("3たす4は？", "7")
COLOUR = ("りんごの色は？", "赤")
TEXT = st.text(max_size=80)
JAPANESE = st.text("あかさたなはまやらわ赤青黄犬猫、。？7", max_size=40)


def rating(asked: str, said: str, reference: str | None = None, finish: Finish = "stop") -> float:
    question = Question(1, "any", (asked,), () if reference is None else (reference,))
    return rate(question, Answer(1, (said,), (finish,)), 1)[0]


@pytest.mark.parametrize(
    ("asked", "reference", "said"),
    [
        (*SUM, "3たす4は7です。"),
        (*SUM, "７です。"),
        (*SUM, "はい、答えは7です。"),
        (*COLOUR, "りんごの色は赤です。"),
        ("犬の鳴き声は？", "ワンワン", "ワンワンと鳴きます。"),
        ("5月の次の月は？", "6月", "5月の次の月は6月です。"),
        ("何円ですか。", "1200", "1,200円です。"),
        ("3ひく4は？", "-1", "-1です。"),
    ],
)
def test_a_right_answer_in_a_japanese_sentence_gets_ten(asked: str, reference: str, said: str) -> None:
    assert rating(asked, said, reference) == 10


@pytest.mark.parametrize(
    ("asked", "reference", "said"),
    [
        (*SUM, "3たす4は17です。"),
        (*SUM, "3たす4は8です。"),
        (*SUM, "5、6、7です。"),
        (*SUM, "6か7です。"),
        (*SUM, "7ではなく8です。"),
        ("4たす0を教えて。", "4", "4たす0は0です。"),
        ("12の前の数は？", "1", "11です。"),
        (*COLOUR, "赤、青、黄です。"),
        (*COLOUR, "赤か青です。"),
        (*COLOUR, "青と赤です。"),
        (*COLOUR, "赤です。青です。白です。"),
        (*COLOUR, "赤青黄緑紫白黒橙桃灰茶色のどれかで、それはりんごの種類と時期と場所によります。"),
        ("5月の次の月は？", "6月", "16月です。"),
    ],
)
def test_a_wrong_or_a_listing_answer_gets_no_points_for_being_right(
    asked: str, reference: str, said: str
) -> None:
    assert rating(asked, said, reference) <= 4


def test_right_in_english_is_clearly_below_right_in_japanese_and_above_wrong() -> None:
    english = rating(SUM[0], "3 plus 4 is 7.", SUM[1])
    assert rating(SUM[0], "3たす4は8です。", SUM[1]) < english <= 7


def test_a_latin_reference_is_matched_as_a_word() -> None:
    assert rating("the color?", "it is a red one.", "red") == 10
    assert rating("the color?", "it is a bored one.", "red") == 4


@pytest.mark.parametrize("said", ["", "  \n", "。。。", "？"])
def test_an_empty_answer_gets_one(said: str) -> None:
    assert rating(COLOUR[0], said, COLOUR[1]) == 1
    assert rating("話してください。", said) == 1


@pytest.mark.parametrize("said", ["3たす4は？", "3たす4は", "たす4"])
def test_a_copy_of_the_question_gets_one(said: str) -> None:
    assert rating(SUM[0], said, SUM[1]) == 1
    assert rating(SUM[0], said) == 1


def test_the_bare_reference_is_no_copy_even_where_the_question_names_it() -> None:
    assert rating("赤と青、好きな方は？", "赤", "赤") > 4


def test_without_a_reference_form_alone_reaches_ten() -> None:
    assert rating("日本について話してください。", "日本は島国です。") == 10
    assert rating("日本について話してください。", "japan is an island country.") == 7
    assert rating("tell me about japan.", "japan is an island country.") == 10


def test_a_reference_that_is_a_whole_text_is_not_compared_with() -> None:
    assert rating("日本について話してください。", "日本は島国です。", "長い文章。" * 20) == 10


def test_an_incomplete_sentence_costs_a_point() -> None:
    assert rating(COLOUR[0], "りんごの色は赤", COLOUR[1]) == 9
    assert rating(COLOUR[0], "りんごの色は赤です。", COLOUR[1], finish="length") == 9


@pytest.mark.parametrize(
    "said", ["赤です。赤です。", "赤い赤い赤い赤いです。赤です。", "ああああああ赤です。"]
)
def test_repetition_costs_a_point(said: str) -> None:
    assert repeats(said)
    assert rating(COLOUR[0], said, COLOUR[1]) == 9


def test_each_turn_is_rated_against_its_own_question_and_reference() -> None:
    question = Question(1, "any", ("3たす4は？", "では、りんごの色は？"), ("7", "赤"))
    answer = Answer(1, ("7です。", "7です。"))
    assert [rate(question, answer, turn)[0] for turn in (1, 2)] == [10, 4]


@pytest.mark.parametrize("turn", [0, 2, -1])
def test_a_turn_that_is_not_there_is_an_error(turn: int) -> None:
    with pytest.raises(ValueError, match="no turn"):
        rate(Question(1, "any", ("何？",)), Answer(1, ("はい。",)), turn)


@given(asked=JAPANESE | TEXT, said=JAPANESE | TEXT, reference=JAPANESE | TEXT | st.none())
def test_any_texts_get_a_whole_rating_in_range_that_the_reply_states(
    asked: str, said: str, reference: str | None
) -> None:
    question = Question(1, "any", (asked,), () if reference is None else (reference,))
    score, reply = rate(question, Answer(1, (said,)), 1)
    assert score in range(1, 11)
    assert reply.splitlines()[-1] == f"Rating: [[{score:.0f}]]"


@given(wrong=st.integers(0, 999), right=st.integers(0, 999))
def test_only_the_very_number_is_right(wrong: int, right: int) -> None:
    expected = 10 if wrong == right else 4
    assert rating("いくつですか。", f"答えは{wrong}です。", str(right)) == expected


@given(text=st.text("abcdefg 123", max_size=30))
def test_text_without_kana_is_not_japanese(text: str) -> None:
    assert not is_japanese(text)


async def test_the_judge_gives_a_rating_for_every_turn_answered() -> None:
    judge: Judge = RulesJudge()
    question = Question("q", "any", ("3たす4は？", "りんごの色は？"), ("7", "赤"))
    one = await judge.judge(question, Answer("q", ("7です。",)))
    two = await judge.judge(question, Answer("q", ("7です。", "")))
    await judge.close()
    assert [(v.question_id, v.turn) for v in one] == [("q", 1)]
    assert all(isinstance(v, Rating) and v.judge == "rules" and v.prompt == PROMPT for v in two)
    assert [v.score for v in two if isinstance(v, Rating)] == [10, 1]
    assert [v.note for v in two if isinstance(v, Rating)] == ["", "empty answer"]


async def test_equal_answers_get_equal_judgments_and_the_fingerprint_is_json_with_a_version() -> None:
    question, answer = Question(1, "any", ("何？",)), Answer(1, ("はい、そうです。",))
    assert await RulesJudge().judge(question, answer) == await RulesJudge().judge(question, answer)
    assert '"version":' in canonical_json(dict(RulesJudge().fingerprint))


async def test_an_answer_cut_in_thought_is_rated_as_an_empty_one_and_says_so() -> None:
    asked = Question(1, "geography", ("首都は？",))
    (verdict,) = await RulesJudge().judge(asked, Answer(1, ("",), ("thought",), thoughts=("東京です。",)))
    assert isinstance(verdict, Rating)
    assert (verdict.score, verdict.note) == (1.0, "no answer: cut in thought")
    assert "東京" not in verdict.user_prompt


def test_a_sentence_ends_a_text_of_any_length() -> None:
    """Over all of such a text, the search for its last sentence would take hours."""
    assert is_complete("word " * 60_000 + "end.")
    assert not is_complete("word " * 60_000 + "end. And")
    assert not is_complete("あ" + "。" * 300_000 + "x")
