"""What is said of stopped trials, of the choice of the winner and of the Pareto front."""

from __future__ import annotations

from dataclasses import replace

from tests.report.results import by_blocks, simple, uniform
from tvmerge.records import Estimate, Recipe, Trial
from tvmerge.report.figures.history import draw_history
from tvmerge.report.history import history
from tvmerge.report.result import Finalist, RunRecord
from tvmerge.report.result_file import as_json
from tvmerge.report.terminal.race import race_lines


def trial(number: int, value: float, state: str, questions: int) -> Trial:
    attrs = {"n": questions, "questions": questions, "se": 0.2, "parts": {"a": value, "b": value / 2}}
    return Trial(number, Recipe(uniform(1.0)), value, state, attrs)


def raced() -> RunRecord:
    told = (trial(0, 5.0, "COMPLETE", 60), trial(1, 9.9, "PRUNED", 20), trial(2, 6.0, "COMPLETE", 60))
    return replace(simple(), trials=told)


def test_the_saving_of_the_race_is_counted_in_answers() -> None:
    line = next(race_lines(raced()))
    assert line == "race: 1 of 3 trials stopped early; 140 of 180 answers were generated"


def test_nothing_is_said_where_nothing_was_stopped_or_chosen() -> None:
    assert list(race_lines(simple())) == []


def test_the_choice_names_each_finalist_and_the_winner() -> None:
    finalists = tuple(Finalist(n, Estimate(6, 0.2, 60), Estimate(5 + n / 10, 0.3, 12)) for n in (2, 0))
    line = list(race_lines(replace(raced(), finalists=finalists)))[1]
    winner = raced().contenders[0].trial
    expected = "trial 2 5.20 ± 0.30, trial 0 5.00 ± 0.30"
    assert line == (
        f"chosen on 12 other held-out questions: {expected}; "
        f"the winner is trial {winner} (the best of the search was 2)"
    )


def test_a_winner_that_was_not_chosen_on_held_out_questions_is_said_to_be_the_best_of_the_search() -> None:
    found = replace(
        simple(), settings={"confirm_candidates": 3}, finalists=(Finalist(23, Estimate(6, 0.2, 60), None),)
    )
    (line,) = race_lines(found)
    assert line.startswith("the winner is trial 23, the best of the search:")


def test_the_front_is_listed_with_each_score() -> None:
    found = replace(raced(), front=(2,))
    assert "front: trial 2, a 6.00, b 3.00" in list(race_lines(found))
    assert as_json(found)["front"] == [{"trial": 2, "scores": {"a": 6.0, "b": 3.0}}]


def test_a_stopped_trial_is_drawn_apart_and_never_as_the_best() -> None:
    figure = history(raced())
    assert [point.number for point in figure.stopped] == [1]
    assert [point.number for point in figure.running_best] == [0, 2]
    drawing = draw_history(figure)
    assert drawing.count('class="ring"') == 1
    assert "stopped (1)" in drawing


def test_a_search_by_blocks_is_no_race() -> None:
    found = by_blocks(raced())
    told = found.trials
    assert list(race_lines(found)) == ["search: 12 answers of 3 candidates"]
    drawn = history(found)
    assert [point.score for point in drawn.points] == [t.attrs["mean"] for t in told]
    assert drawn.stopped == ()
    assert drawn.description.startswith("3 candidates with an estimated score, 0 failed.")
    drawing = draw_history(drawn)
    assert "stopped by the race" not in drawing
    assert "best so far" not in drawing
    assert as_json(found)["trials"] == {"complete": 2, "estimated": 1, "stopped": 0, "failed": 0}
    assert as_json(raced())["trials"] == {"complete": 2, "estimated": 0, "stopped": 1, "failed": 0}
