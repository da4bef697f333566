"""Candidates in flight: what each is doing, how fast they are."""

from __future__ import annotations

import pytest

from tvmerge._util.trace import ENGINE, Trace
from tvmerge.records import Answer, Recipe
from tvmerge.report.terminal.flights import Flights

RECIPE = Recipe({"norm": 1.0})


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answers(number: int, tokens: int = 0) -> list[Answer]:
    return [Answer(n, ("text",), ("stop",), tokens=tokens) for n in range(number)]


def test_a_candidate_goes_from_its_engine_to_the_judge() -> None:
    trace = Trace()
    trace.declare(f"{ENGINE} cpu")
    flights = Flights(trace)
    seen: list[str] = []

    def look() -> None:
        seen.extend(stage for _, stage in flights.stages())

    with flights.flight("trial 7", RECIPE, 3) as flight:
        look()
        for name in ("start", "merge", "answer"):
            with trace.span(f"{ENGINE} cpu", name, RECIPE):
                look()
        flights.answered(flight, answers(2))
        flights.was_rated(flight)
        look()
        flights.answered(flight, answers(1))
        look()
        assert flights.as_json() == [{"name": "trial 7", "stage": "judging 1/3"}]
    assert seen == [
        "waiting for an engine",
        "loading the model",
        "merging",
        "answering 0/3",
        "answering 2/3, judged 1",
        "judging 1/3",
    ]
    assert flights.stages() == []
    assert flights.rated == 1


def test_the_work_of_one_candidate_is_not_shown_as_that_of_another_with_the_same_weights() -> None:
    trace = Trace()
    flights = Flights(trace)
    same = Recipe({"norm": 1.0})
    assert same == RECIPE
    with (
        flights.flight("a", RECIPE, 1),
        flights.flight("b", same, 1),
        trace.span(f"{ENGINE} cpu", "merge", same),
    ):
        assert flights.stages() == [("a", "waiting for an engine"), ("b", "merging")]


def test_tokens_per_second_are_those_of_all_engines_while_they_answer() -> None:
    clock = Clock()
    trace = Trace(clock)
    flights = Flights(trace)
    assert flights.tokens_per_second() is None
    for device in ("0", "1"):
        with flights.flight("t", RECIPE, 2) as flight, trace.span(f"{ENGINE} {device}", "answer", RECIPE):
            clock.now += 4
            flights.answered(flight, answers(2, tokens=100))
    with trace.span(f"{ENGINE} 0", "merge", RECIPE):
        clock.now += 50
    assert flights.tokens_per_second() == pytest.approx(2 * 400 / 8)


def test_stored_answers_say_nothing_about_the_speed() -> None:
    trace = Trace(clock := Clock())
    flights = Flights(trace)
    with flights.flight("t", RECIPE, 2) as flight, trace.span(f"{ENGINE} 0", "answer"):
        clock.now += 1
        flights.answered(flight, answers(2))
    assert flights.tokens_per_second() is None


def test_an_answer_takes_what_it_took_where_the_most_were_asked_at_once() -> None:
    clock = Clock()
    flights = Flights(clock=clock)
    assert flights.seconds_per_answer is None
    for expected, seconds in ((4, 8.0), (16, 8.0), (4, 8.0)):
        with flights.flight("t", RECIPE, expected) as flight:
            clock.now += seconds
            for _ in range(expected):
                flights.was_rated(flight)
    assert flights.seconds_per_answer == pytest.approx(0.5)


def test_candidates_in_flight_at_once_share_the_time() -> None:
    clock = Clock()
    flights = Flights(clock=clock)
    with flights.flight("a", RECIPE, 1) as first, flights.flight("b", RECIPE, 1) as second:
        clock.now += 2
        flights.was_rated(first)
        flights.was_rated(second)
    assert flights.seconds_per_answer == pytest.approx((2.0 + 1.0) / 2)
