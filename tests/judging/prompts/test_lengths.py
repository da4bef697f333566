"""The text that ratings are looked for in is bounded."""

from __future__ import annotations

import pytest

from tvmerge.judging.prompts.lengths import TOO_LONG, shortened
from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.reply_format import RatingFormat, VerdictFormat


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_001,
        "word " * 10_000,
        "[[8]] " * 500,
        "<think" * 10_000,
        "<think>" * 10_000,
        "<|channel|>" * 1_000,
        "`" * 20 + "a`" * 500,
    ],
    ids=["length", "words", "brackets", "half tags", "tags", "channels", "fences"],
)
def test_a_text_that_is_no_judgment_is_not_searched(text: str) -> None:
    for read in (RatingFormat().read, VerdictFormat().read):
        assert read(f"{text}\nRating: [[8]]") == Unreadable(TOO_LONG)


@pytest.mark.parametrize("run", [" ", "\n", "\t \n", "*", "1", "-", "　", "* ", "。"])
def test_a_rating_is_found_after_a_long_run_of_one_thing(run: str) -> None:
    assert RatingFormat().read(f"Good.\n{run * 300_000}\nRating: [[8]]") == 8


def test_only_the_middle_of_a_run_is_left_out() -> None:
    assert shortened(f"a{' ' * 39}b") == f"a{' ' * 39}b"
    assert shortened(f"a{' ' * 500}b") == f"a{' ' * 40}b"
    assert shortened(f"a{' ' * 99}\n{' ' * 99}b") == f"a{' ' * 20}\n{' ' * 20}b"
    assert shortened("日本語の文章。" * 20) == "日本語の文章。" * 20


def test_a_long_judgment_with_its_thoughts_is_read() -> None:
    text = (
        f"<think>{'Is it good? ' * 30_000}</think>{'It is good, since it says so. ' * 1_000}\nRating: [[8]]"
    )
    assert RatingFormat().read(text) == 8
