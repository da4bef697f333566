"""How a run went on: over sessions, with what it cost, and what was the best by then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report import results
from tests.report.html_tree import parse
from tvmerge.records import Recipe, Trial
from tvmerge.report.course import PAUSE, Course, PaidCall, TrialTimes, course_of
from tvmerge.report.figures.course import course, draw_course, pause_note
from tvmerge.report.language import language

DAY = 86_400.0


def told(number: int, value: float | None, state: str = "COMPLETE", mean: float | None = None) -> Trial:
    return Trial(number, Recipe(), value, state, {} if mean is None else {"mean": mean})


def found(trials: list[Trial], times: dict[int, TrialTimes], calls: list[PaidCall]) -> Course:
    course = course_of(trials, times, calls)
    assert course is not None
    return course


def test_the_best_counts_from_the_end_of_its_trial_and_calls_from_when_they_were_sent() -> None:
    trials = [told(0, 5.0), told(1, 7.0), told(2, None, "FAIL"), told(3, 9.0, "PRUNED"), told(4, 6.0)]
    times = {n: TrialTimes(100.0 + 10 * n, 119.0 + 10 * n) for n in range(5)}
    calls = [PaidCall(105.0 + n, 0.5) for n in range(50)]
    run = found(trials, times, calls)
    assert run.priced
    assert next((m.seconds, m.best) for m in run.moments if m.best is not None) == (19.0, 5.0)
    at_7 = next(m for m in run.moments if m.best == 7.0)
    assert (at_7.seconds, at_7.calls, at_7.cost) == (29.0, 25, 12.5)
    assert run.moments[-1].best == 7.0
    assert (run.moments[-1].calls, run.moments[-1].cost) == (50, 25.0)


def test_a_candidate_of_blocks_counts_from_its_first_ask_by_its_lower_bound_and_shows_its_mean() -> None:
    trials = [told(0, 5.0, mean=5.5), told(1, 6.0, "PRUNED", mean=6.2), told(2, 5.9, mean=9.0)]
    times = {n: TrialTimes(100.0 + n, 500.0) for n in range(3)}
    run = found(trials, times, [PaidCall(400.0, None)])
    assert [(m.seconds, m.best) for m in run.moments] == [(0, 5.5), (1, 6.2), (2, 6.2), (300, 6.2)]
    assert not run.priced


def test_the_time_between_two_sessions_is_left_out_and_said() -> None:
    trials = [told(n, float(n)) for n in range(4)]
    times = {n: TrialTimes(None, 100.0 * n + (DAY if n > 1 else 0)) for n in range(4)}
    run = found(trials, times, [])
    assert [m.seconds for m in run.moments] == [0, 100, 100, 200]
    assert (run.pauses, run.paused) == (1, DAY + 100)
    assert "Gaps of more than 1 h without" in pause_note(run)
    assert "Left out: 1 d (gaps: 1)." in pause_note(run)


def test_a_resumed_run_has_worked_for_all_its_sessions() -> None:
    sessions = found([told(n, 5.0) for n in (0, 1)], {n: TrialTimes(None, 900.0 * n) for n in (0, 1)}, [])
    last = replace(results.simple(), seconds=1.0)
    assert replace(last, course=sessions).worked == 900.0
    assert last.worked == 1.0


def test_a_slow_trial_is_no_pause() -> None:
    times = {0: TrialTimes(0.0, PAUSE - 1), 1: TrialTimes(PAUSE - 1, 2 * PAUSE - 2)}
    run = found([told(0, 1.0), told(1, 2.0)], times, [])
    assert run.pauses == 0
    assert run.moments[-1].seconds == 2 * PAUSE - 2


def test_of_many_calls_the_totals_and_every_new_best_stay() -> None:
    calls = [PaidCall(float(n), 0.01) for n in range(20_000)]
    trials = [told(n, float(n)) for n in range(100)]
    times = {n: TrialTimes(None, 150.5 + 31 * n) for n in range(100)}
    run = found(trials, times, calls)
    assert len(run.moments) < 700
    assert {m.best for m in run.moments} >= {float(n) for n in range(100)}
    assert run.moments[-1].calls == 20_000
    assert run.moments[-1].cost == pytest.approx(200)


def test_a_run_without_times_has_no_course() -> None:
    assert course_of([told(0, 5.0)], {}, []) is None
    assert course_of([told(0, 5.0)], {0: TrialTimes(None, None)}, []) is None
    assert draw_course(course(None)) == ""


def test_the_figure_has_a_curve_for_score_calls_and_cost_and_says_them_in_words() -> None:
    calls = [PaidCall(60.0 * n, 0.25) for n in range(2_000)]
    times = {0: TrialTimes(0.0, 600.5), 1: TrialTimes(600.5, 3000.5)}
    run = found([told(0, 5.0), told(1, 7.25)], times, calls)
    root = parse(draw_course(course(run)))
    titles = [text.text for text in root.all("text") if "strong" in text.attributes.get("class", "")]
    assert titles == ["Best score so far", "Judge calls", "Cost in USD"]
    across = [text.text for text in root.all("text") if "caption" in text.attributes.get("class", "")]
    assert across == ["cost in USD", "hours of work", "hours of work"]
    words = root.one("desc").text
    assert "Its judges were called 2,000 times. This cost 500.00 USD." in words
    assert "The best score, 7.25, was reached after 50 min and 51 calls." in words


@pytest.mark.parametrize(
    ("calls", "titles"),
    [
        ([], ["Best score so far"]),
        ([PaidCall(1.0, None)], ["Best score so far", "Judge calls"]),
        ([PaidCall(1.0, 0.0)], ["Best score so far", "Judge calls"]),
    ],
    ids=["no judge", "unknown price", "free"],
)
def test_a_curve_without_data_is_missing(calls: list[PaidCall], titles: list[str]) -> None:
    run = found([told(0, 5.0), told(1, 6.0)], {n: TrialTimes(0.0, 9.0 + n) for n in range(2)}, calls)
    assert [curve.title for curve in course(run).curves] == titles


def test_the_page_in_japanese_has_the_figure_in_japanese() -> None:
    run = found([told(0, 5.0), told(1, 6.0)], {n: TrialTimes(0.0, 9.0 + n) for n in range(2)}, [])
    with language("ja"):
        data = course(run)
    assert data.curves[0].title == "その時点での最高得点"
    assert data.curves[0].across == "稼働時間（秒）"
    from tvmerge.report.page.page import render_page

    page = render_page(replace(results.simple(), course=run), "ja")
    assert "実行中の得点・呼び出し・費用の推移" in page
    assert "再開を含む全体" in page
