"""Searches on problems that are unlike the demo's: what the judge of each says, and one small search.

No module: perf/economy/special, which is no part of the package.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perf.economy.rows import read_rows
from perf.economy.special import CATEGORIES, SPECIAL, main
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Question, Rating


def scores(judge: Judge, category: str = CATEGORIES[0]) -> dict[str, float]:
    """The ratings of a right, a wrong and an empty answer."""
    question = Question(1, category, ("Where is it?",), ("here",))

    async def rated(text: str) -> float:
        (found,) = await judge.judge(question, Answer(1, (text,)))
        assert isinstance(found, Rating)
        return found.score

    return {text: asyncio.run(rated(text)) for text in ("It is here.", "It is there.", "")}


RULES = scores(RulesJudge())


def test_each_problem_changes_the_ratings_as_it_says() -> None:
    assert RULES == {"It is here.": 10, "It is there.": 4, "": 1}
    plateau, cliff = (SPECIAL[name].searched(RulesJudge()) for name in ("plateau", "cliff"))
    assert scores(plateau) == {"It is here.": 7, "It is there.": 4, "": 1}
    assert scores(cliff) == {"It is here.": 10, "It is there.": 1, "": 1}
    chance = scores(SPECIAL["chance"].searched(RulesJudge()))
    assert chance not in (RULES, scores(plateau), scores(cliff))
    assert all(1 <= score <= 10 for score in chance.values())


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_the_truth_is_what_the_rules_say_of_all_but_a_plateau_and_a_cliff(name: str) -> None:
    subject = SPECIAL[name]
    true = scores(subject.true(RulesJudge()))
    assert (true == RULES) == (name not in ("plateau", "cliff"))
    assert subject.name == name


def test_one_category_of_three_is_useless_and_not_in_the_truth() -> None:
    subject = SPECIAL["useless"]
    judge = subject.searched(RulesJudge())
    assert scores(judge, CATEGORIES[0]) == RULES
    assert scores(judge, CATEGORIES[-1]) != RULES
    searched = list(subject.questions(500, 3))
    assert len(searched) == 500
    assert {one.category for one in searched} == set(CATEGORIES)
    assert {one.category for one in subject.fresh(240, 3)} == set(CATEGORIES[:-1])


def test_a_search_at_the_border_stays_inside(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    small = ["--budget", "130", "--questions", "12", "--fresh", "8"]
    main(["border", "--samplers", "auto", "--seeds", "1", "--jobs", "1", "--out", str(out), *small])
    (row,) = read_rows(out)
    assert row.steps
    assert all(0 <= weight <= 0.6 for step in row.steps for weight in step.weights)
