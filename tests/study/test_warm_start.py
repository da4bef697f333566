"""A study that begins with another's trials: which ones, in which order, and the same after a resume."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.study.blocks.searches import BLOCK, drive, open_blocks, search
from tests.study.blocks.searches import ENQUEUED as BLOCKS_ENQUEUED
from tests.study.blocks.searches import SPACE as BLOCKS_SPACE
from tests.study.studies import SPACE, open_at, open_study, run
from tests.study.studies import drive as drive_trials
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import Recipe
from tvmerge.study.blocks.initial import first_asks
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.sampler_view import ENQUEUED, INHERITED
from tvmerge.study.space import Space
from tvmerge.study.warm_start import (
    InitialTrials,
    SourceStudy,
    choose_trials,
    initial_trials,
    stored_initial_trials,
    told_asks,
    warm_start_source,
)

BASELINES = (SPACE.uniform(0), SPACE.uniform(1))


def url(folder: Path) -> str:
    return sqlite_url(folder / "deep" / "study.db")


def quiet(_: str) -> None:
    pass


def test_a_warm_start_takes_the_best_scored_recipes_that_are_new(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    values = [9.9, 9.8, 3.0, 7.0, 8.0, None, 9.0, 5.0]
    for number, value in enumerate(values):
        study.ask()
        stopped = number == 6
        study.tell(number, value, {"questions": 1}, state="PRUNED" if stopped else "COMPLETE")
    source = SourceStudy("warm-start", url(tmp_path), "s", 3)
    numbers = choose_trials(source, SPACE, BASELINES, quiet)
    assert numbers == [4, 3, 7]
    initial = initial_trials([(source, numbers)], SPACE, BASELINES)
    assert initial.enqueued == (*BASELINES, *(study.trials[number].recipe for number in numbers))
    assert not initial.inherited


def test_a_warm_start_of_the_same_weights_twice_takes_them_once(tmp_path: Path) -> None:
    study = open_study(tmp_path, enqueued=[SPACE.uniform(w) for w in (0.2, 0.4, 0.4, 0.6)])
    for number in range(4):
        study.ask()
        study.tell(number, float(number), {})
    assert choose_trials(SourceStudy("warm-start", url(tmp_path), "s", 9), SPACE, BASELINES, quiet) == [
        3,
        2,
        0,
    ]


def test_a_fork_takes_all_that_was_told_and_goes_the_same_way(tmp_path: Path) -> None:
    whole = run(tmp_path / "old", "CMA-ES", 1, 24)
    source = SourceStudy("fork", url(tmp_path / "old"), "s")
    run(tmp_path / "short", "CMA-ES", 1, 15)
    source = SourceStudy("fork", url(tmp_path / "short"), "s")
    initial = initial_trials([(source, choose_trials(source, SPACE, BASELINES, quiet))], SPACE, BASELINES)
    assert (len(initial.enqueued), len(initial.inherited)) == (2, 13)
    forked = open_study(tmp_path / "new", "CMA-ES", enqueued=initial.enqueued, inherited=initial.inherited)
    for number, weights, values, _ in whole:
        assert dict(forked.ask().recipe.weights) == weights
        forked.tell(number, values or None, {})
    assert [ENQUEUED in t.attrs for t in forked.trials[:4]] == [True, True, False, False]
    assert [t.attrs.get(INHERITED) for t in forked.trials[1:4]] == [None, 2, 3]
    assert INHERITED not in forked.trials[15].attrs


def test_weights_given_in_the_forked_study_stay_given(tmp_path: Path) -> None:
    study = open_study(tmp_path, enqueued=(*BASELINES, SPACE.uniform(0.5)))
    for number in range(5):
        study.ask()
        study.tell(number, 5.0, {})
    study.ask()
    source = SourceStudy("fork", url(tmp_path), "s")
    numbers = choose_trials(source, SPACE, BASELINES, quiet)
    assert numbers == [2, 3, 4]
    initial = initial_trials([(source, numbers)], SPACE, BASELINES)
    assert initial.enqueued == (*BASELINES, SPACE.uniform(0.5))
    assert list(initial.inherited) == [3, 4]


def test_what_a_study_takes_does_not_change_when_its_predecessor_learns_more(tmp_path: Path) -> None:
    run(tmp_path, "TPE", 1, 6)
    source = SourceStudy("warm-start", url(tmp_path), "s", 3)
    numbers = choose_trials(source, SPACE, BASELINES, quiet)
    before = initial_trials([(source, numbers)], SPACE, BASELINES)
    run(tmp_path, "TPE", 1, 30)
    assert initial_trials([(source, numbers)], SPACE, BASELINES) == before


def test_trials_outside_the_range_are_left_out_and_counted(tmp_path: Path) -> None:
    run(tmp_path, "random", 1, 12)
    narrow = Space(SPACE.names, 0.0, 1.5)
    source = SourceStudy("fork", url(tmp_path), "s")
    said: list[str] = []
    numbers = choose_trials(source, narrow, BASELINES, said.append)
    left = 10 - len(numbers)
    assert 0 < left < 10
    assert said == [
        f"{left} of 10 trials of study 's' are left out: they are outside the range of the weights"
    ]
    best = SourceStudy("warm-start", url(tmp_path), "s", 3)
    with pytest.raises(StudyError, match="no trials to start with: no scored trial is in this range"):
        choose_trials(best, Space(SPACE.names, 5.0, 6.0), (), quiet)


def test_other_weights_or_no_study_are_refused_plainly(tmp_path: Path) -> None:
    run(tmp_path, "random", 1, 3)
    other = Space((*SPACE.names, "layers.2"), 0.0, 2.0)
    message = "study 's' has 4 weights, this run 5, and they differ: layers.2 is only here"
    with pytest.raises(StudyError, match=message):
        choose_trials(SourceStudy("fork", url(tmp_path), "s"), other, (), quiet)
    with pytest.raises(StudyError, match="there is no study 'x'"):
        choose_trials(SourceStudy("fork", url(tmp_path), "x"), SPACE, (), quiet)
    open_study(tmp_path, name="empty")
    with pytest.raises(StudyError, match="study 'empty' has no trials to start with"):
        choose_trials(SourceStudy("warm-start", url(tmp_path), "empty", 5), SPACE, (), quiet)
    gone = SourceStudy("fork", url(tmp_path), "s")
    with pytest.raises(StudyError, match="study 's' has lost trial 7"):
        initial_trials([(gone, [1, 7])], SPACE, BASELINES)


def test_a_study_that_tried_nothing_but_the_baselines_can_be_forked(tmp_path: Path) -> None:
    run(tmp_path, "TPE", 1, 2)
    assert choose_trials(SourceStudy("fork", url(tmp_path), "s"), SPACE, BASELINES, quiet) == []
    with pytest.raises(StudyError, match="no trials to start with"):
        choose_trials(SourceStudy("warm-start", url(tmp_path), "s", 1), SPACE, BASELINES, quiet)


def test_the_best_of_a_search_by_blocks_are_known_once_it_has_ended_or_paused(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path), 80)
    place = sqlite_url(tmp_path / "study.db")
    warm, fork = SourceStudy("warm-start", place, "s", 3), SourceStudy("fork", place, "s")
    with pytest.raises(StudyError, match=r"search of study 's' has not ended, .* let its run end"):
        choose_trials(warm, BLOCKS_SPACE, (), quiet)
    numbers = [trial.number for trial in study.trials]
    assert choose_trials(fork, BLOCKS_SPACE, (), quiet) == numbers
    study.pause(1)
    scores = {trial.number: trial.value for trial in study.trials if trial.value is not None}
    best = sorted(scores, key=lambda number: -scores[number])
    assert choose_trials(warm, BLOCKS_SPACE, (), quiet) == best[:3]
    told = [(ask.trial, ask.start, ask.stop) for ask in study.asks]
    assert told_asks(fork, numbers) == told


def test_a_reference_is_a_name_here_or_a_place_and_a_name(tmp_path: Path) -> None:
    here = "postgresql://u:p@h/db"
    assert warm_start_source("old", here, 5) == SourceStudy("warm-start", here, "old", 5)
    assert warm_start_source("odd#name", here, 5) == SourceStudy("warm-start", here, "odd#name", 5)
    there = warm_start_source("mysql://u:p@h/db#old", here, 2)
    assert there == SourceStudy("warm-start", "mysql://u:p@h/db", "old", 2)
    file = tmp_path / "a #1.db"
    file.touch()
    assert warm_start_source(f"{file}#old", here, 1) == SourceStudy("warm-start", sqlite_url(file), "old", 1)


def test_recipes_that_were_forked_twice_are_tried_once(tmp_path: Path) -> None:
    run(tmp_path, "random", 1, 6)
    source = SourceStudy("fork", url(tmp_path), "s")
    best = SourceStudy("warm-start", url(tmp_path), "s", 2)
    taken = [(of, choose_trials(of, SPACE, BASELINES, quiet)) for of in (source, best)]
    initial = initial_trials(taken, SPACE, BASELINES)
    every: list[Recipe] = [*initial.enqueued, *initial.inherited.values()]
    assert len(every) == len({tuple(recipe.weights.values()) for recipe in every})


def test_a_fork_into_blocks_repeats_what_given_weights_answered_and_resumes_alike(tmp_path: Path) -> None:
    old = drive(lambda: open_blocks(tmp_path / "deep"), 200)
    source = SourceStudy("fork", url(tmp_path), "s")
    numbers = choose_trials(source, BLOCKS_SPACE, BLOCKS_ENQUEUED, quiet)
    rows = told_asks(source, numbers, BLOCKS_ENQUEUED)
    assert rows == [(ask.trial, ask.start, ask.stop) for ask in old.asks if ask.told]
    taken = initial_trials([(source, numbers)], BLOCKS_SPACE, BLOCKS_ENQUEUED, rows)
    forked = drive(lambda: open_blocks(tmp_path / "new", found=search(initial=taken)), 260)
    assert _asked(forked)[: len(rows)] == _asked(old)
    known = stored_initial_trials(forked.trials, rows)
    assert known is not None
    assert _first(known) == _first(taken) == _asked(old)


def _asked(study: BlockStudy) -> list[tuple[Recipe, int, int]]:
    return [(study.trials[ask.trial].recipe, ask.start, ask.stop) for ask in study.asks if ask.told]


def _first(initial: InitialTrials) -> list[tuple[Recipe, int, int]]:
    scale = Scale(BLOCKS_SPACE)
    choices, _ = first_asks(search(initial=initial), BLOCK)
    return [(scale.recipe(choice.weights), choice.start, choice.stop) for choice in choices]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("runs/odl/study.db#s", "there is no file runs/odl/study.db (did you mean runs/old/study.db#s?)"),
        ("nowhere/study.db#s", "--warm-start nowhere/study.db#s: there is no file nowhere/study.db"),
        ("runs/old/study.db#S", "there is no study 'S' (did you mean s?) in sqlite:///runs/old/study.db"),
        ("runs/old", "write --warm-start runs/old/study.db#s"),
        ("runs/old/study.db", "write --warm-start runs/old/study.db#s"),
    ],
)
def test_a_study_that_was_meant_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    drive_trials(lambda: open_at(sqlite_url(Path("runs/old/study.db"))), 3)
    with pytest.raises((ConfigError, StudyError), match=re.escape(message)):
        choose_trials(warm_start_source(reference, "sqlite:///runs/old/study.db", 3), SPACE, (), quiet)
