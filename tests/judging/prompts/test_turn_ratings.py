"""What counts as one rating per turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.prompts.parsing import Unreadable, read_rating
from tvmerge.judging.prompts.reply_format import TurnRatingsFormat
from tvmerge.judging.prompts.turn_ratings import read_turn_ratings

WIDE = str.maketrans("0123456789[]:", "０１２３４５６７８９［］：")
LABELS = [
    "",
    "Turn {}: ",
    "ターン{}：",
    "**Turn {}:** ",
    "- Turn {} rating: ",
    "{}ターン目の評価：",
    "【ターン{}】",
    "{}. ",
    "Rating: ",
]
INSIDES = ["{}", " {} ", "{}点", "{}/10", "**{}**", "評価：{}"]
TALK = [
    "",
    "良い回答です。\n\n",
    "Turn 1: It is fine.\nTurn 2: It is not.\n\n",
    "As [1] says, 2 of 3 are right.\n",
    "The answer deserves between [[1]] and [[10]].\n",
]


@pytest.mark.parametrize(
    "reply",
    [
        "[[7]] [[5]]",
        "[[7]], [[5]]",
        "[[7]]\n[[5]]",
        "Turn 1: [[7]]\nTurn 2: [[5]]",
        "ターン1：[[7]]\nターン2：[[5]]",
        "ターン１：［［７］］\nターン２：［［５］］",
        "Ratings: [[7]] and [[5]].",
        "評価：[[7]]、[[5]]",
        "評価：[[7]]・[[5]]",
        "Final ratings: [[7]] [[5]]",
        "Turn 1, final rating: [[7]]\nTurn 2, final rating: [[5]]",
        "#### ターン1の評価\n[[7]]\n#### ターン2の評価\n[[5]]",
        "①：[[7]]\n②：[[5]]",
        "So I give [[7]] [[5]]",
        "Turn 1: [[7]], Turn 2: [[5]]",
        "Turn 1: [[7]] (good) Turn 2: [[5]] (thin)",
        "(1) [[7]]\n(2) [[5]]",
        "| Turn 1 | [[7]] |\n| Turn 2 | [[5]] |",
        "### Turn 1\nGood.\nRating: [[7]]\n\n### Turn 2\nThin.\nRating: [[5]]",
        "Turn 1: Good. Rating: [[7]]\nTurn 2: Thin. Rating: [[5]]\n\nTurn 1: [[7]]\nTurn 2: [[5]]",
        "Turn 1: Good. Rating: [[7]]\nTurn 2: Thin. Rating: [[5]]\n\nRatings: [[7]] [[5]]",
        "Turn 1 deserves [[8]] at first sight.\n\nTurn 1: [[7]]\nTurn 2: [[5]]",
        "評価は、ターン1が[[7]]、ターン2が[[5]]です。",
        "一つ目の回答は[[7]]、二つ目の回答は[[5]]です。",
        "最初の回答：[[7]]\n2番目の回答：[[5]]",
        "First answer: [[7]]\nSecond answer: [[5]]",
        "Turn 1: [[7]]/10\nTurn 2: [[5]] / [[10]]",
        "Turn 1 – [[7]]\nTurn 2 – [[5]]",
        'Good.\n"Turn 1: [[7]]"\n"Turn 2: [[5]]"',
        "Turn 1: 【【7】】\nTurn 2: 【【5】】",
        r"\[\[7\]\] \[\[5\]\]",
        "Turn 1: [7]\nTurn 2: [5]",
        "Turn 1: 7\nTurn 2: 5/10",
        "ターン1：7点\nターン2：5点",
        '{"explanation": "good", "ratings": [7, 5]}',
        '```json\n{"scores": [7, 5.0]}\n```',
    ],
)
def test_one_rating_per_turn_is_read(reply: str) -> None:
    assert read_turn_ratings(reply, 2) == (7, 5)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "[[7]]",
        "[[7]] [[5]] [[6]]",
        "[[7]] [[7]] [[7]] [[7]]",
        "[[7]] [[5]]\n[[7]] [[5]]",
        "Turn 1: [[7]]",
        "Turn 1: [[7]]\n[[5]]",
        "Turn 2: [[5]]\nTurn 1: [[7]]",
        "### Turn 2\nRating: [[5]]\n### Turn 1\nRating: [[7]]",
        "Turn 1: [[7]]\nTurn 3: [[5]]",
        "Turn 1: [[7]]\nTurn 1: [[5]]",
        "Turn 1: [[7]]\nOverall: [[5]]",
        "ターン1：[[7]]\n平均：[[5]]",
        "Turn 1: [[7]]\nTurn 2: [[5]]\nOverall: [[6]]",
        "Turn 1: [[7]]\nTurn 2: [[5]]\nTurn 1: [[6]]\nTurn 2: [[5]]",
        "Rating: [[7]]\nFinal rating: [[5]]",
        "評価：[[7]]\n修正した評価：[[5]]",
        "### Turn 1\nRating: [[7]]\n### Turn 2\nThin.\n\nFinal rating: [[6]]",
        "Turn 1 and turn 2: [[7]]",
        "Turn 1: [[7]]\nTurn 2: [[N/A]]",
        "Turn 1: [[7]]\nTurn 2: [[11]]",
        "Turn 1: [[7]]\nTurn 2: [[x]]",
        "Turn 1: [[7]] or [[8]]\nTurn 2: [[5]]",
        "[[7]]～[[5]]",
        "[[7]] or [[5]]",
        "[[7]] / [[5]]",
        "[[8]] / [[10]]",
        "[[1]] to [[10]]",
        "[[7,5]]",
        "正確性：[[7]]\n自然さ：[[5]]",
        "The first would be [[8]] without its error, so [[4]].",
        "The form is [[7]] [[5]], as the instructions say, and I give none.",
        "例: Turn 1: [[7]]\n例: Turn 2: [[5]]",
        "Turn 1: 7\nTurn 2: high",
        "Turn 1: 7, Turn 2",
        '{"ratings": [7]}',
        '{"ratings": [7, 5, 3]}',
        '{"ratings": [7, "high"]}',
        '{"ratings": [7, true]}',
        '{"rating": 7}',
    ],
)
def test_what_does_not_rate_each_turn_once_and_in_order_rates_none(reply: str) -> None:
    assert isinstance(read_turn_ratings(reply, 2), Unreadable)


@pytest.mark.parametrize("turns", [1, 3])
def test_ratings_of_two_turns_are_none_of_one_or_three(turns: int) -> None:
    for reply in ("[[7]] [[5]]", "Turn 1: [[7]]\nTurn 2: [[5]]", '{"ratings": [7, 5]}'):
        assert isinstance(read_turn_ratings(reply, turns), Unreadable)


@given(
    ratings=st.lists(st.integers(1, 10), min_size=1, max_size=5),
    label=st.sampled_from(LABELS),
    inside=st.sampled_from(INSIDES),
    talk=st.sampled_from(TALK),
    wide=st.booleans(),
)
def test_ratings_in_any_usual_form_are_read_in_order(
    ratings: Sequence[int], label: str, inside: str, talk: str, wide: bool
) -> None:
    lines = [f"{label.format(n)}[[{inside.format(score)}]]" for n, score in enumerate(ratings, start=1)]
    listed = "\n".join(lines)
    reply = talk + (listed.translate(WIDE) if wide else listed)
    assert read_turn_ratings(reply, len(ratings)) == tuple(map(float, ratings))


@given(
    ratings=st.lists(st.integers(1, 10), min_size=1, max_size=6),
    label=st.sampled_from(LABELS),
    turns=st.integers(1, 6),
)
def test_another_number_of_ratings_than_turns_is_none(ratings: Sequence[int], label: str, turns: int) -> None:
    reply = "\n".join(f"{label.format(n)}[[{score}]]" for n, score in enumerate(ratings, start=1))
    found = read_turn_ratings(reply, turns)
    assert found == tuple(map(float, ratings)) if len(ratings) == turns else isinstance(found, Unreadable)


@given(st.permutations([1, 2, 3]), st.sampled_from([label for label in LABELS if "{}" in label]))
def test_labels_in_another_order_are_never_sorted(order: list[int], label: str) -> None:
    reply = "\n".join(f"{label.format(turn)}[[{turn + 4}]]" for turn in order)
    found = read_turn_ratings(reply, 3)
    assert found == (5, 6, 7) if order == [1, 2, 3] else isinstance(found, Unreadable)


@given(st.text(max_size=300), st.integers(1, 4))
def test_any_text_is_read_as_that_many_ratings_on_the_scale_or_none(text: str, turns: int) -> None:
    found = read_turn_ratings(text, turns)
    assert isinstance(found, Unreadable) or (
        len(found) == turns and all(1 <= rating <= 10 for rating in found)
    )


FILLERS = ("-", "|", "* ", "[", "(", "「", " ", "Turn 1 ", "turn ", '"', "1", "1. ", "第1", "\n# ")


@pytest.mark.parametrize("filler", FILLERS)
def test_a_reply_full_of_one_thing_is_read_at_once(filler: str) -> None:
    for ending in ("", "x", "\nTurn 1: [[7]]\nTurn 2: [[5]]"):
        found = read_turn_ratings(filler * 5_000 + ending, 2)
        assert isinstance(found, Unreadable) or found == (7, 5)


@given(st.integers(1, 10), st.sampled_from(["", "Rating: ", "評価：", "Turn 1: "]))
def test_one_turn_is_read_as_a_rating_is(score: int, label: str) -> None:
    reply = f"良い回答です。\n{label}[[{score}]]"
    assert read_turn_ratings(reply, 1) == (read_rating(reply),)


@pytest.mark.parametrize(
    ("form", "reply", "ratings"),
    [
        (TurnRatingsFormat(2, structured=True), 'so: {"ratings": [7, 5]} ok', (7, 5)),
        (TurnRatingsFormat(2, structured=True), "Turn 1: [[7]]\nTurn 2: [[5]]", (7, 5)),
        (TurnRatingsFormat(2, key="points"), '{"points": [7, "5"]}', (7, 5)),
        (TurnRatingsFormat(2, 0, 100, pattern=r"SCORE: ([0-9]+)"), "SCORE: 70\nSCORE: 50", (70, 50)),
        (TurnRatingsFormat(2), "<think>[[1]] [[2]]</think>[[7]] [[5]]", (7, 5)),
    ],
)
def test_a_prompt_may_ask_for_another_form(
    form: TurnRatingsFormat, reply: str, ratings: Sequence[float]
) -> None:
    assert form.read(reply) == ratings


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        (TurnRatingsFormat(2, structured=True), '{"ratings": [7]}'),
        (TurnRatingsFormat(2, key="points"), '{"points": 7}'),
        (TurnRatingsFormat(2, pattern=r"SCORE: ([0-9]+)"), "SCORE: 7"),
        (TurnRatingsFormat(2, pattern=r"SCORE: ([0-9]+)"), "SCORE: 7 SCORE: 5 SCORE: 5"),
        (TurnRatingsFormat(2, pattern=r"SCORE: ([0-9]+)"), "[[7]] [[5]]"),
        (TurnRatingsFormat(2), "<think>[[7]] [[5]]"),
        (TurnRatingsFormat(2), "7 5"),
    ],
)
def test_another_form_is_as_strict(form: TurnRatingsFormat, reply: str) -> None:
    assert isinstance(form.read(reply), Unreadable)


@pytest.mark.parametrize("reply", ["7 5", "7, 5", "7、5", "7\n5", "7点 5点。", "Turn 1: 7\nTurn 2: 5"])
def test_bare_numbers_count_if_only_they_were_asked_for(reply: str) -> None:
    assert TurnRatingsFormat(2).read(reply, alone=True) == (7, 5)


@pytest.mark.parametrize("reply", ["7", "7,5", "7 5 3", "7 eleven", "7 11"])
def test_bare_numbers_must_be_one_per_turn_too(reply: str) -> None:
    assert isinstance(TurnRatingsFormat(2).read(reply, alone=True), Unreadable)


def test_a_reminder_shows_the_form_for_each_turn() -> None:
    assert "Turn 1: [[number]], Turn 2: [[number]]" in TurnRatingsFormat(2).reminder
    assert '{"ratings": [number, number]}' in TurnRatingsFormat(2, structured=True).reminder
    assert "exactly in the form" in TurnRatingsFormat(2, pattern="(.)").reminder


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('{"ratings": [7]}', "1 rating in the reply, for 2 turns"),
        ('{"ratings": [7, 8, 9]}', "3 ratings in the reply, for 2 turns"),
        ("[[7]]", "1 rating in the reply, for 2 turns"),
        ("Good.", "no rating in the reply, for 2 turns"),
    ],
)
def test_a_reply_with_another_number_of_ratings_says_how_many(reply: str, reason: str) -> None:
    found = TurnRatingsFormat(2, 1, 10, structured=True).read(reply)
    assert isinstance(found, Unreadable)
    assert found.reason == reason
