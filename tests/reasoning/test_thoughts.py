"""Thoughts are told from answers by the marks around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.reasoning.thoughts import mentions_thoughts, split_texts, split_thoughts

PAIRS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<Thought>", "</Thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<think:high>", "</think:high>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|think_start|>", "<|think_end|>"),
    ("<|thinking|>", "<|/thinking|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("◁think▷", "◁/think▷"),
    ("Here's my thought process:", "Here's my response:"),
]
HARMONY = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Tokyo."
PIECES = [mark for pair in PAIRS for mark in pair] + [
    *("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "assistant", "analysis", "final"),
    *("`", "```", "\n", " ", "<answer>", "</answer>", "<", "think", ">", "東京", "a"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=24).map("".join)


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
class TestMarks:
    """Whatever the marks are called."""

    def test_what_they_enclose_is_a_thought(self, opening: str, closing: str) -> None:
        found = split_thoughts(f"\n{opening}\nhm\n{closing}\n\nTokyo.")
        assert (found.answer.strip(), found.thought, found.finished) == ("Tokyo.", "hm", True)

    def test_a_thought_without_an_end_is_no_answer(self, opening: str, closing: str) -> None:
        found = split_thoughts(f"{opening} hm, ")
        assert (found.answer, found.thought, found.finished) == ("", "hm,", False)
        assert split_thoughts(f"{opening} hm{found.closing}Tokyo.").answer == "Tokyo."

    def test_a_thought_may_begin_in_the_prompt(self, opening: str, closing: str) -> None:
        prompt = f"{opening}{closing}Kyoto.<|user|>Capital?<|assistant|>{opening}\n"
        assert split_thoughts(f"hm{closing}Tokyo.", prompt).answer == "Tokyo."
        assert not split_thoughts("hm", prompt).finished
        assert split_thoughts(f"{opening}hm{closing}Tokyo.", prompt).thought == "hm"

    def test_a_prompt_that_ends_a_thought_leaves_the_answer_alone(self, opening: str, closing: str) -> None:
        assert split_thoughts("Tokyo.", f"<|assistant|>{opening}\n\n{closing}\n\n") == split_thoughts(
            "Tokyo."
        )
        assert split_thoughts("Tokyo.").answer == "Tokyo."

    def test_several_thoughts_may_follow_each_other(self, opening: str, closing: str) -> None:
        found = split_thoughts(f"{opening}one{closing}\n{opening}two{closing}\nTokyo.")
        assert (found.answer.strip(), found.thoughts) == ("Tokyo.", ("one", "two"))

    def test_an_answer_about_them_stays_whole(self, opening: str, closing: str) -> None:
        for text in (
            f"A model writes `{opening}`, then `{closing}`.",
            f"```\n{opening}hm{closing}\n```\nis how it looks.",
            f"It writes {opening} and {closing} around it.",
            f"It ends with `{closing}`, always.",
            f"Look for 「{closing}」 in it.",
        ):
            assert split_thoughts(text).answer == text
            assert split_thoughts(f"{opening}hm{closing}{text}").answer == text

    def test_a_template_that_has_them_is_one_of_a_thinking_model(self, opening: str, closing: str) -> None:
        assert mentions_thoughts([f"{{{{ '{opening}' }}}}"])
        assert mentions_thoughts([f"content.split('{closing}')[-1]"])


def test_a_mark_in_quotes_does_not_end_a_thought() -> None:
    found = split_thoughts('<think>I must not write "</think>" yet.</think>Tokyo.')
    assert found.answer == "Tokyo."


def test_a_mark_that_nothing_opened_ends_a_thought_that_began_before() -> None:
    found = split_thoughts("hm\n</think>\n\nTokyo.")
    assert (found.answer.strip(), found.thought, found.before) == ("Tokyo.", "hm", True)


def test_a_mark_that_is_closed_twice_is_no_part_of_the_answer() -> None:
    assert split_thoughts("<think>hm</think>\n</think>\nTokyo.").answer.strip() == "Tokyo."


@pytest.mark.parametrize(
    "text",
    [
        "<think>hm</think>\n<answer>\nTokyo.\n</answer>\n",
        "<think>hm</think><response>Tokyo.</response>",
        "<think>hm</think><answer>Tokyo.",
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Tokyo.<|END_RESPONSE|>",
        "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>Tokyo.<|end_of_solution|>",
    ],
)
def test_tags_around_an_answer_that_follows_a_thought_are_left_out(text: str) -> None:
    assert split_thoughts(text).answer.strip() == "Tokyo."


def test_tags_around_an_answer_without_a_thought_stay() -> None:
    assert split_thoughts("<answer>Tokyo.</answer>").answer == "<answer>Tokyo.</answer>"


@pytest.mark.parametrize(
    ("text", "prompt", "answer", "thought"),
    [
        (HARMONY, "<|start|>assistant", "Tokyo.", "hm"),
        (HARMONY, "", "Tokyo.", "hm"),
        (f"<|start|>assistant{HARMONY}<|return|>", "", "Tokyo.", "hm"),
        ("<|channel|>final<|message|>Tokyo.", "<|start|>assistant", "Tokyo.", ""),
        ("Tokyo.", "<|start|>assistant<|channel|>final<|message|>", "Tokyo.", ""),
        ("<|message|>Tokyo.", "<|start|>assistant", "Tokyo.", ""),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>so<|end|>"
            "<|start|>assistant<|channel|>final <|constrain|>json<|message|>Tokyo.",
            "<|start|>assistant",
            "Tokyo.",
            "hm\n\nso",
        ),
    ],
)
def test_of_messages_with_channels_the_final_one_is_the_answer(
    text: str, prompt: str, answer: str, thought: str
) -> None:
    found = split_thoughts(text, f"<|start|>user<|message|>Use <|channel|>.<|end|>{prompt}")
    assert (found.answer, found.thought, found.finished) == (answer, thought, True)


def test_messages_behind_the_final_one_are_no_answer() -> None:
    found = split_thoughts(
        f"{HARMONY}<|end|><|start|>assistant<|channel|>analysis<|message|>so", "<|start|>assistant"
    )
    assert (found.answer, found.thoughts, found.ahead) == ("Tokyo.", ("hm", "so"), 1)


@pytest.mark.parametrize("end", range(1, len(HARMONY) - len("Tokyo.") - len("<|message|>")))
def test_messages_that_end_before_the_final_one_are_no_answer(end: int) -> None:
    begun = HARMONY[:end]
    if not begun.startswith("<|channel|>"):
        return
    found = split_thoughts(begun, "<|start|>assistant")
    assert not found.finished
    assert found.answer == ""


@pytest.mark.parametrize(
    "begun", ["<|channel|>analysis<|message|>hm", "<|channel|>analysis<|message|>hm<|end|>", "<|channel|>"]
)
def test_what_closes_a_message_begins_the_final_one(begun: str) -> None:
    closing = split_thoughts(begun, "<|start|>assistant").closing
    assert split_thoughts(f"{begun}{closing}Tokyo.", "<|start|>assistant").answer == "Tokyo."


def test_messages_whose_marks_were_skipped_are_still_told_apart() -> None:
    found = split_texts(
        ["analysisWe need it.assistantfinalTokyo.", "analysisWe need", "analysis of it: good"]
    )
    assert [parted.answer for parted in found] == ["Tokyo.", "", "analysis of it: good"]
    assert [parted.finished for parted in found] == [True, False, True]


def test_where_the_prompt_opens_every_thought_a_text_without_a_mark_never_ended() -> None:
    found = split_texts(["hm</think>Tokyo.", "hm, so</think>Kyoto.", "hm, hm"])
    assert [(parted.answer, parted.finished) for parted in found] == [
        ("Tokyo.", True),
        ("Kyoto.", True),
        ("", False),
    ]


def test_marks_of_the_models_own_count_too() -> None:
    found = split_thoughts("(ponder)hm(done)Tokyo.", marks=[("(ponder)\n", "(done)")])
    assert (found.answer, found.thought) == ("Tokyo.", "hm")
    assert not split_thoughts("hm", "<|assistant|>(ponder)", [("(ponder)", "(done)")]).finished


@given(TEXTS, TEXTS)
def test_no_text_is_lost_and_none_is_made_up(text: str, prompt: str) -> None:
    found = split_thoughts(text, prompt)
    if not found.thoughts:
        return
    if "<|start|>" in prompt:  # the message that the prompt began is part of what was said
        text = prompt[prompt.rfind("<|start|>") :] + text
    place = 0
    for piece in (*found.thoughts, *([found.answer] if "<|message|>" not in text else [])):
        begin = text.find(piece, place)
        assert begin >= 0, f"{piece!r} is not behind the pieces before it"
        place = begin + len(piece)


@given(st.lists(TEXTS, max_size=6))
def test_an_answer_is_parted_once_and_for_all(texts: list[str]) -> None:
    for parted in split_texts(texts):
        assert parted.finished or not parted.answer
        assert bool(parted.closing) <= (not parted.finished)


@given(st.text())
def test_a_text_without_marks_is_an_answer(text: str) -> None:
    if not mentions_thoughts([text]) and not text.lstrip().startswith(("analysis", "commentary")):
        assert split_texts([text])[0].answer == text
