"""Plain lines: a few seconds apart, more seldom in a long run, none left out at the end."""

from __future__ import annotations

from itertools import pairwise

from tvmerge.report.terminal.displays import Lines
from tvmerge.report.terminal.state import RunState, Stage


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_at_least_two_seconds_apart_however_much_happens() -> None:
    clock, said = Clock(), list[float]()
    state = RunState(clock=clock, stages=[Stage("search", 1000, 1, "", 0.0)])
    with Lines(state, lambda _: said.append(clock.now)) as lines:
        for _ in range(80):
            clock.now += 0.25
            lines.changed(notable=True, is_new=True)
            lines.tick()
    assert len(said) == 10
    assert all(later - earlier >= 2 for earlier, later in pairwise(said))


def test_the_first_result_of_a_stage_comes_at_once_and_the_second_does_not() -> None:
    said: list[str] = []
    state = RunState(clock=Clock(), stages=[Stage("search", 9, 0, "", 0.0)])
    lines = Lines(state, said.append).__enter__()
    lines.changed(notable=True, at_once=True)
    for done in (1, 2, 3):
        state.stages[0].done = done
        lines.changed(notable=True)
    assert said == ["search 0/9", "search 1/9"]


def test_nothing_new_is_said_more_and_more_seldom_but_every_minute() -> None:
    clock, said = Clock(), list[float]()
    state = RunState(clock=clock, stages=[Stage("search", 1000, 1, "", 0.0)])
    with Lines(state, lambda _: said.append(clock.now)) as lines:
        for _ in range(7200):
            clock.now += 0.5
            lines.tick()
    gaps = [later - earlier for earlier, later in pairwise(said)]
    assert min(gaps[:5]) == 2.0
    assert max(gaps) == 60.0
    assert gaps == sorted(gaps)
    assert len(said) < 100


def test_what_was_held_back_is_said_at_the_end() -> None:
    clock, said = Clock(), list[str]()
    state = RunState(clock=clock, stages=[Stage("search", 1000, 1, "", 0.0)])
    with Lines(state, said.append) as lines:
        lines.changed(notable=True)
        assert said == []
    assert said == ["search 1/1,000"]
