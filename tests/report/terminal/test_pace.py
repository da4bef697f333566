"""The time left: of the search with the finalists in it, then of the finalists by their answers."""

from __future__ import annotations

import pytest

from tvmerge.report.terminal.pace import FinalistPace, Moment, SearchPace


def test_the_time_left_in_a_search_includes_the_finalists() -> None:
    pace = SearchPace(total=10, done=4, start=Moment(100.0), ahead=50)
    assert pace.remaining(4, Moment(105.0)) is None
    assert pace.remaining(6, Moment(120.0)) == pytest.approx(4 * 10)
    assert pace.remaining(6, Moment(120.0, rated=9, per_answer=0.5)) == pytest.approx(4 * 10 + 25)
    assert pace.remaining(10, Moment(160.0, rated=9, per_answer=0.5)) == pytest.approx(25)


def test_finalists_take_as_long_as_their_answers_so_far_say() -> None:
    pace = FinalistPace(50, Moment(200.0, rated=70, per_answer=0.5))
    assert pace.remaining(0, Moment(205.0, rated=70)) == pytest.approx(20)
    assert pace.remaining(0, Moment(240.0, rated=70)) == 0
    assert pace.remaining(0, Moment(210.0, rated=80)) == pytest.approx(40)
    assert pace.remaining(3, Moment(210.0, rated=130)) == 0


def test_nothing_is_said_of_finalists_before_anything_is_known() -> None:
    assert FinalistPace(50, Moment(0.0)).remaining(0, Moment(1.0)) is None
