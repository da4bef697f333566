"""A study keeps the sizes that it chose: whatever a resumed run measures, the table stays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.study.blocks.searches import SPACE, answer, rows, search
from tvmerge._util.urls import sqlite_url
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.size import BLOCK_SIZES, Costs, sizes_of
from tvmerge.study.blocks.sizes import final_size
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.blocks.table import Ask, Table, asks_of
from tvmerge.study.storage import enter_study, open_storage, read_study
from tvmerge.study.warm_start import InitialTrials

QUESTIONS = 60
MOST = 5 * QUESTIONS

FREE = Costs(0.0, {4: 2.4, 16: 2.42}, 2.0)
SLOW = Costs(0.0, {4: 80.0, 16: 320.0}, 2.0)
PAID = Costs(0.02, {4: 5.0}, 2.0)


def opened(
    folder: Path, window: int, block: int | None = None, found: BlockSearch | None = None
) -> BlockStudy:
    storage = open_storage(sqlite_url(folder / "study.db"))
    study_id = enter_study(storage, "s", {"seed": 7}, {"mode": "layer"})
    found = found or search(questions=QUESTIONS)
    return BlockStudy(storage, study_id, found.space, BlockSampler(found, block), window=window)


def drive(folder: Path, costs: Sequence[Costs], *, window: int = 1, deaths: Sequence[int] = ()) -> BlockStudy:
    """Ask until `MOST` questions were; after each death another run measures the next costs."""
    starts = iter(costs)
    left, steps, measured, begun = list(deaths), 0, next(starts), 0
    study = opened(folder, window)
    while study.told < MOST:
        if left and steps >= left[0]:
            left.pop(0)
            study.close()
            study, steps, measured = opened(folder, window), 0, next(starts)
            begun = sum(ask.told for ask in asks(study))
        if study.may_ask and study.asked < MOST:
            if study.sizes.is_due(len(study.asks)):
                study.choose_size(_of_this_run(measured, asks(study)[begun:]), QUESTIONS)
            study.ask()
        else:
            oldest = study.running()[0]
            study.tell(oldest, answer(study.trials[oldest.trial].recipe, oldest))
        steps += 1
    return study


def _of_this_run(costs: Costs, told: Sequence[Ask]) -> Costs:
    """What a run can have measured: the time of asks that it was told itself."""
    sizes = {ask.stop - ask.start for ask in told if ask.told}
    return replace(costs, seconds={size: s for size, s in costs.seconds.items() if size in sizes})


def asks(study: BlockStudy) -> list[Ask]:
    return sorted((ask for trial in study.trials for ask in asks_of(trial)), key=lambda ask: ask.number)


@pytest.mark.parametrize("window", [1, 4])
def test_where_judging_is_free_blocks_grow_once_their_time_is_known(window: int, tmp_path: Path) -> None:
    study = drive(tmp_path, [FREE], window=window)
    probe, chosen = sizes_of(read_study(sqlite_url(tmp_path / "study.db"), "s").attrs)
    assert not probe.final
    assert chosen.final
    assert chosen.size > 4
    assert study.sizes.final == chosen
    sizes = [ask.stop - ask.start for ask in asks(study)]
    assert set(sizes[: probe.start]) == {4}
    assert max(sizes[probe.start : chosen.start]) == probe.size
    assert max(sizes[chosen.start :]) == chosen.size
    assert chosen.start - window + 1 - probe.start == 6, "so many of the size have been told by then"
    assert set(chosen.seconds) == {4, 16}


@pytest.mark.parametrize("window", [1, 4])
def test_a_run_that_measures_other_times_keeps_what_was_chosen(window: int, tmp_path: Path) -> None:
    whole = drive(tmp_path / "whole", [FREE], window=window)
    chosen_at = 2 * max(size.start for size in sizes_of(stored(tmp_path / "whole")))
    draw = random.Random(window)
    deaths = [chosen_at + draw.randint(1, 4), 3]
    cut = drive(tmp_path / "cut", [FREE, SLOW, PAID], window=window, deaths=deaths)
    assert rows(cut) == rows(whole)
    assert stored(tmp_path / "cut") == stored(tmp_path / "whole")


def test_killed_before_the_choice_a_run_measures_and_chooses_alike(tmp_path: Path) -> None:
    whole = drive(tmp_path / "whole", [FREE])
    cut = drive(tmp_path / "cut", [FREE] * 4, deaths=[7, 26, 9])
    assert rows(cut) == rows(whole)
    assert stored(tmp_path / "cut") == stored(tmp_path / "whole")


def stored(folder: Path) -> dict[str, object]:
    return {BLOCK_SIZES: read_study(sqlite_url(folder / "study.db"), "s").attrs[BLOCK_SIZES]}


def test_where_judging_costs_money_nothing_changes(tmp_path: Path) -> None:
    study = drive(tmp_path / "chosen", [PAID])
    (chosen,) = sizes_of(stored(tmp_path / "chosen"))
    assert (chosen.size, chosen.final, chosen.start) == (4, True, 14)
    assert final_size(stored(tmp_path / "chosen")) == chosen
    (tmp_path / "four").mkdir()
    four = opened(tmp_path / "four", 1, block=4)
    while four.told < MOST:
        assert not four.sizes.is_due(len(four.asks))
        ask = four.ask()
        four.tell(ask, answer(four.trials[ask.trial].recipe, ask))
    assert rows(four) == rows(study)
    assert four.sizes.final is None


def test_after_the_size_changed_a_candidate_answers_what_it_lacks_and_nothing_twice(tmp_path: Path) -> None:
    study = drive(tmp_path, [FREE])
    for trial in study.trials:
        seen = Counter(place for ask in asks_of(trial) for place in range(ask.start, ask.stop))
        assert set(seen.values()) == {1}
        assert set(seen) <= set(range(QUESTIONS))


def test_of_a_block_that_was_asked_in_part_the_rest_is_asked() -> None:
    """The ask after the given ones is about the best of these, which has answered two blocks of four."""
    sampler = BlockSampler(search(questions=32, initial=InitialTrials((SPACE.uniform(1),))), None)
    weights = np.array([Scale(SPACE).row(SPACE.uniform(1))])
    had = [Ask(0, 0, 0, 4, (9.0,) * 4), Ask(1, 0, 4, 8, (9.0,) * 4)]
    assert sampler.initial == 14
    choice = sampler.ask(14, Table(weights, had, (), 32, block=16))
    assert choice.weights.tobytes() == weights[0].tobytes()
    assert (choice.start, choice.stop) == (8, 16)


def test_a_benchmark_of_fewer_questions_than_a_block_is_asked_as_a_whole(tmp_path: Path) -> None:
    study = opened(tmp_path, 1, found=search(questions=3))
    while study.told < 45:
        if study.sizes.is_due(len(study.asks)):
            assert study.choose_size(FREE, 3).final
        ask = study.ask()
        assert (ask.start, ask.stop) == (0, 3)
        study.tell(ask, answer(study.trials[ask.trial].recipe, ask))
    assert study.sizes.final is not None
    assert study.sizes.final.size == 4
