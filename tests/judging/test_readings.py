"""Ratings in thousands of made-up replies, as read and as somebody finds them who goes line by line.

Several modules: all that reads a reply.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.reply_format import RatingFormat

NO_RATING = "void"
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
FORMS = ["{}", " {} ", "{}点", "{}/10", "評価：{}", "**{}**", "Rating: {}", "{}点/10点"]

INSIDES: dict[str, int | str | None] = {
    **{form.format(n): n if 1 <= n <= 10 else NO_RATING for form in FORMS for n in range(13)},
    **{str(n).translate(WIDE): n for n in range(1, 11)},
    **dict.fromkeys(["N/A", "八", "なし", "評価不能", "-3", "7-8", "about 7", "4/5"], NO_RATING),
    **dict.fromkeys(["rating", "note", "リンク", "評価"], None),
}
LABELS = [
    "Rating: ",
    "評価：",
    "**総合評価**： ",
    "Score - ",
    "最終評価は",
    "Rating (1-10): ",
    "> **Rating:** ",
    "",
]
BEFORE = ["この文章は", "I looked at ", "正確さについては", "The first part, "]
AFTER = ["という数が目立ちます。", " comes to mind here.", "のあたりを読んだ。"]
TALK = [
    "良い回答です。",
    "It answers the question.",
    "誤りが 2 つあります（第 3 文）。",
    "Kyoto is in Japan [1].",
    "",
]
ASIDES = [
    "「{}」と回答は書いている。",
    'The answer says "Rating: {}" somewhere.',
    "形式は「評価：{}」です。",
    "例えば{}のように書けという指示でした。",
    "満点は{}です。",
    "This is out of {} in total.",
    "詳細は{}を参照のこと。",
    "{}点満点で採点します。",
]
THOUGHTS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<reasoning>", "</reasoning>"),
    ("◁think▷", "◁/think▷"),
]

RARER = ["まず考える。\n{thoughts}\n{end}\n{said}", "{opening}\n{thoughts}\n{said}"]

BRACKETS = [form.format(inside) for inside in INSIDES for form in ("[[{}]]", "［［{}］］")]
NUMBERS = [f"[[{inside}]]" for inside, meaning in INSIDES.items() if isinstance(meaning, int)]

stated = st.sampled_from(
    [
        f"{label}{b}{end}"
        for label in LABELS
        for b in BRACKETS
        for end in ("", "。", "**", " です。", "（10点満点）")
    ]
)
passing = st.sampled_from([f"{before}{b}{after}" for before in BEFORE for b in BRACKETS for after in AFTER])
closing = st.sampled_from(
    [f"{before}{b}{end}" for before in BEFORE for b in BRACKETS for end in ("", "。", "です。")]
)
aside = st.sampled_from([words.format(number) for words in ASIDES for number in NUMBERS])
lines = st.lists(st.one_of(st.sampled_from(TALK), stated, passing, aside), max_size=4)


@st.composite
def replies(draw: st.DrawFn) -> str:
    said = "\n".join([*draw(lines), *draw(st.lists(closing, max_size=1))])
    form = draw(st.sampled_from(["{said}", "{said}", "{opening}\n{thoughts}\n{end}\n\n{said}", *RARER]))
    if form == "{said}":
        return said
    opening, end = draw(st.sampled_from(THOUGHTS))
    return form.format(opening=opening, end=end, thoughts="\n".join(draw(lines)), said=said)


def found_by_hand(reply: str) -> int | None:
    """The rating in one of `replies`, by going through it from the first line to the last."""
    for opening, end in THOUGHTS:
        if end in reply:
            reply = reply[reply.index(end) + len(end) :]
        elif opening in reply:
            return None
    reply = reply.replace("［", "[").replace("］", "]").rstrip()
    all_lines = reply.split("\n")
    announced: list[int | str] = []
    last_words: list[int | str] = []
    mentioned: list[int | str] = []
    for number, line in enumerate(all_lines):
        if "[[" not in line:
            continue
        before, rest = line.split("[[")
        inside, after = rest.split("]]")
        meaning = INSIDES[inside.strip() if inside.strip() in INSIDES else inside]
        label_before = before in LABELS and before != ""
        if label_before and meaning is None and inside not in ("rating", "評価"):
            meaning = NO_RATING
        if meaning is None or any(line == pattern.format(f"[[{inside}]]") for pattern in ASIDES):
            continue
        ends_the_line = after.strip("。*") in ("", "です", " です", "（10点満点）", "(10点満点)")
        if label_before or (before == "" and ends_the_line):
            announced.append(meaning)
            last_words.clear()
        elif ends_the_line and number == len(all_lines) - 1:
            last_words.append(meaning)
        else:
            mentioned.append(meaning)
    candidates = (announced[-1:] + last_words) or mentioned
    if not announced and not last_words:
        candidates = [meaning for meaning in mentioned if meaning != NO_RATING]
        if mentioned and mentioned[-1] == NO_RATING:
            return None
    chosen = set(candidates)
    only = chosen.pop() if len(chosen) == 1 else NO_RATING
    return only if isinstance(only, int) else None


@settings(max_examples=2000, deadline=None)
@given(replies())
def test_what_is_read_is_what_somebody_finds_by_hand(reply: str) -> None:
    reading = RatingFormat().read(reply)
    assert (None if isinstance(reading, Unreadable) else reading) == found_by_hand(reply)


def last_in_double_brackets(reply: str) -> int:
    """What FastChat's format means where nothing is odd about a reply."""
    return int(re.findall(r"\[\[(\d+)\]\]", reply)[-1])


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(blacklist_characters="<[◁", blacklist_categories=["Cs"])),
    st.lists(st.integers(1, 10), max_size=3),
    st.sampled_from(
        [
            "Rating: [[{}]]",
            "\n\nRating: [[{}]]\n",
            "**Rating: [[{}]]**",
            "評価：[[{}]]",
            "[[{}]]",
            "Rating:[[{}]].",
        ]
    ),
    st.integers(1, 10),
)
def test_a_plain_judgment_means_its_last_rating_whatever_was_written_before(
    explanation: str, earlier: list[int], form: str, rating: int
) -> None:
    mentions = "".join(f" At first it looked like [[{number}]] to me.\n" for number in earlier)
    reply = f"{explanation}\n{mentions}{form.format(rating)}"
    assert RatingFormat().read(reply) == last_in_double_brackets(reply) == rating
