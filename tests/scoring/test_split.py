"""Holding questions out."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.errors import ConfigError
from tvmerge.records import Question
from tvmerge.scoring.split import DEFAULT_HOLDOUT, halve, has_split, split

SIZES = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(2, 30), min_size=1)
SHARES = st.floats(0.001, 0.999)


def make(sizes: dict[str, int]) -> list[Question]:
    """Questions with their categories interleaved."""
    names = [name for index in range(max(sizes.values())) for name, size in sizes.items() if index < size]
    return [Question(number, name, ("?",)) for number, name in enumerate(names, start=1)]


@given(SIZES, SHARES, st.integers(0, 5))
def test_every_question_lands_in_one_half_in_the_files_order(
    sizes: dict[str, int], share: float, seed: int
) -> None:
    questions = make(sizes)
    search, held = split(questions, share, seed)
    assert sorted([*search, *held], key=questions.index) == questions
    assert list(search) == sorted(search, key=questions.index)
    assert list(held) == sorted(held, key=questions.index)
    assert not set(search) & set(held)


@given(SIZES, SHARES)
def test_every_category_has_a_question_in_either_half(sizes: dict[str, int], share: float) -> None:
    search, held = split(make(sizes), share, 0)
    assert {item.category for item in search} == set(sizes) == {item.category for item in held}


@given(SIZES, SHARES)
def test_each_category_gets_its_share_to_within_one_question(sizes: dict[str, int], share: float) -> None:
    _, held = split(make(sizes), share, 0)
    counts = Counter(item.category for item in held)
    for name, size in sizes.items():
        quota = min(max(size * share, 1), size - 1)
        # A whole question more may be given or taken where other categories are at their limit of one.
        assert abs(counts[name] - quota) <= 1 or any(
            counts[other] in (1, sizes[other] - 1) for other in sizes
        )


@given(SIZES, SHARES)
def test_the_total_follows_the_share_where_the_categories_allow_it(
    sizes: dict[str, int], share: float
) -> None:
    _, held = split(make(sizes), share, 0)
    total = sum(sizes.values())
    assert len(held) == pytest.approx(min(max(total * share, len(sizes)), total - len(sizes)), abs=0.5001)


def test_remainders_are_given_to_the_categories_that_lost_most_by_rounding_down() -> None:
    sizes = {"a": 10, "b": 8, "c": 9}
    _, held = split(make(sizes), 0.25, 0)
    # Quotas 2.5, 2.0, 2.25: seven in all, the seventh to the category with the largest remainder.
    assert Counter(item.category for item in held) == {"a": 3, "b": 2, "c": 2}


def test_a_question_too_many_is_given_up_by_the_category_that_was_rounded_down_least() -> None:
    sizes = {"a": 2, "b": 2, "c": 2, "d": 24, "e": 29}
    _, held = split(make(sizes), 0.1, 0)
    # Quotas 0.2 (three times), 2.4 and 2.9: six in all, but each of the small ones needs a whole question.
    assert Counter(item.category for item in held) == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}


def test_a_share_means_the_decimal_that_was_written() -> None:
    _, held = split(make({"a": 100}), 0.29, 0)
    assert len(held) == 29


def test_a_question_keeps_its_rank_when_others_are_added() -> None:
    few, many = make({"a": 20}), make({"a": 40})
    held_of_few = {item.question_id for item in split(few, 0.5, 3)[1]}
    held_of_many = {item.question_id for item in split(many, 0.5, 3)[1]}
    in_both = held_of_many & {item.question_id for item in few}
    # The draw takes the lowest ranks: of the first 20 it picks a prefix of the same ranking.
    assert in_both <= held_of_few or held_of_few <= in_both


def test_the_seed_decides_the_halves() -> None:
    questions = make({"a": 30, "b": 30})
    assert split(questions, 0.5, 1) == split(questions, 0.5, 1)
    assert split(questions, 0.5, 1) != split(questions, 0.5, 2)


def test_the_halves_do_not_depend_on_pythons_hash_seed() -> None:
    program = (
        "from tvmerge.scoring.split import split; from tvmerge.records import Question;"
        "print([q.question_id for q in split([Question(f'q{i}', 'ab'[i % 2], ('?',)) "
        "for i in range(40)], 0.3, 7)[1]])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().count("'q") == 12


def test_holding_nothing_out_searches_on_everything() -> None:
    questions = [replace(item, split="holdout") for item in make({"a": 3})]
    assert split(questions, 0, 1) == (tuple(questions), ())


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, math.nan, math.inf])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"holdout must be in \[0, 1\)"):
        split(make({"a": 3}), share, 1)


def test_a_category_of_one_question_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="category 'rare' has 1 question"):
        split(make({"a": 3, "rare": 1}), 0.3, 1)


def test_without_a_share_the_files_own_split_decides() -> None:
    questions = [
        replace(item, split="holdout" if item.question_id in {2, 4} else "search")
        for item in make({"a": 5, "rare": 1})
    ]
    search, held = split(questions, None, 1)
    assert [item.question_id for item in held] == [2, 4]
    assert [item.question_id for item in search] == [1, 3, 5, 6]


def test_a_share_that_is_given_overrules_the_files_own_split() -> None:
    questions = [replace(item, split="holdout") for item in make({"a": 10})]
    search, held = split(questions, 0.3, 1)
    assert (len(search), len(held)) == (7, 3)


def test_without_a_share_or_a_split_the_default_share_is_drawn() -> None:
    questions = make({"a": 20, "b": 20})
    assert split(questions, None, 1) == split(questions, DEFAULT_HOLDOUT, 1)
    assert len(split(questions, None, 1)[1]) == 12


@pytest.mark.parametrize("share", [None, 0.0, 0.3])
def test_a_split_on_only_some_questions_is_refused(share: float | None) -> None:
    questions = make({"a": 4})
    questions[0] = replace(questions[0], split="search")
    with pytest.raises(ConfigError, match="question 2 has no 'split' key"):
        split(questions, share, 1)
    with pytest.raises(ConfigError):
        has_split(questions)


def test_a_file_that_holds_everything_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="every question is marked"):
        split([replace(item, split="holdout") for item in make({"a": 3})], None, 1)


def test_the_halves_are_the_same_in_every_release() -> None:
    """A study that goes on must not search on what it held out before."""
    asked = [Question(number, "ab"[number % 2], ("?",)) for number in range(1, 13)]
    assert [question.question_id for question in split(asked, 0.5, 3)[1]] == [2, 3, 5, 7, 8, 10]
    assert [question.question_id for question in halve(asked, 3)[0]] == [3, 5, 6, 7, 8, 10]
