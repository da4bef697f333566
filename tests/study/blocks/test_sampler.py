"""What is asked next: a function of seed, number and table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.study.blocks.searches import BLOCK, ENQUEUED, drive, open_blocks, search
from tvmerge.records import Recipe
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask, Table, asks_of
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> BlockStudy:
    """A study of 300 answers."""
    folder = tmp_path_factory.mktemp("long")
    return drive(lambda: open_blocks(folder), 300)


def level(recipe: Recipe) -> float:
    """What a candidate is truly worth."""
    return 8 - sum((w - 0.5 * (i + 1)) ** 2 for i, w in enumerate(recipe.weights.values()))


def table_of(study: BlockStudy, number: int, window: int, questions: int) -> Table:
    """What ask `number` of a study may depend on."""
    asks = sorted((a for t in study.trials for a in asks_of(t)), key=lambda a: a.number)[:number]
    due = max(0, number - window + 1)
    made = 1 + max((ask.trial for ask in asks), default=-1)
    scale = Scale(search().space)
    weights = np.array([scale.row(t.recipe) for t in study.trials[:made]]).reshape(made, 4)
    return Table(weights, asks[:due], asks[due:], questions)


@pytest.mark.parametrize("window", [1, 4])
def test_an_ask_is_a_function_of_seed_number_and_table(window: int, tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path, window), 160)
    asks = sorted((a for t in study.trials for a in asks_of(t)), key=lambda a: a.number)
    scale = Scale(search().space)
    for number in (0, 9, 14, 17, 20, 25, len(asks) - 1):
        choice = BlockSampler(search(), BLOCK).ask(number, table_of(study, number, window, 22))
        made = asks[number]
        assert (choice.start, choice.stop) == (made.start, made.stop)
        assert np.array_equal(choice.weights, scale.row(study.trials[made.trial].recipe))
    last = len(asks) - 1
    other = BlockSampler(search(seed=8), BLOCK).ask(last, table_of(study, last, window, 22))
    assert not np.array_equal(other.weights, scale.row(study.trials[asks[last].trial].recipe))


@pytest.mark.parametrize("space", [search().space, Space(("one",), 0.0, 2.0)], ids=["four", "one"])
@pytest.mark.parametrize("questions", [22, 7, 3])
def test_no_candidate_is_asked_a_question_twice(space: Space, questions: int, tmp_path: Path) -> None:
    initial = InitialTrials((space.uniform(0), space.uniform(1)))
    found = search(space, questions=questions, initial=initial)
    study = drive(lambda: open_blocks(tmp_path, 2, found), 150)
    for trial in study.trials:
        seen = Counter(q for ask in asks_of(trial) for q in range(ask.start, ask.stop))
        assert set(seen.values()) == {1}
        assert set(seen) <= set(range(questions))
    weights = [tuple(trial.recipe.weights.values()) for trial in study.trials]
    assert len(weights) == len(set(weights))


def test_candidates_that_answer_more_are_the_better_ones(long: BlockStudy) -> None:
    own = [t for t in long.trials if "fixed" not in t.attrs and not any(a.failed for a in asks_of(t))]
    more, once = ([level(t.recipe) for t in own if (len(asks_of(t)) > 1) is again] for again in (True, False))
    assert sum(more) / len(more) > sum(once) / len(once)


def test_a_candidate_that_cannot_be_scored_is_not_asked_again(long: BlockStudy) -> None:
    failed = [t for t in long.trials if any(a.failed for a in asks_of(t))]
    assert failed
    for trial in failed:
        assert [a.failed for a in asks_of(trial)] == [True]


def test_where_all_that_was_asked_failed_something_else_is_asked() -> None:
    sampler, scale = BlockSampler(search(), BLOCK), Scale(search().space)
    rows = np.array([scale.row(recipe) for recipe in (*ENQUEUED, search().space.uniform(0.25))])
    failed = [Ask(n, n % 3, 4 * (n // 3), 4 * (n // 3) + 4, ()) for n in range(30)]
    table = Table(rows, failed, (), 22)
    choice = sampler.ask(30, table)
    assert choice.weights.tobytes() not in {row.tobytes() for row in rows}
    assert not sampler.ranked(table)


def test_a_candidate_known_to_be_unusable_is_not_chosen_though_it_is_drawn() -> None:
    """In one dimension, points at the border are often candidates that there are."""
    space = Space(("one",), 0.0, 2.0)
    sampler = BlockSampler(search(space, initial=InitialTrials((space.uniform(0), space.uniform(1)))), BLOCK)
    rows = np.array([[0.0], [0.1], [0.05]])
    known = [Ask(0, 0, 0, 4, ()), Ask(1, 1, 0, 4, (9.0,) * 4), Ask(2, 2, 0, 4, (9.0,) * 4)]
    for number in range(40, 70):
        assert sampler.ask(number, Table(rows, known, (), 22)).weights[0] > 0


def test_a_search_finds_what_is_better_than_any_uniform_weight(long: BlockStudy) -> None:
    best = long.best()
    assert best is not None
    assert level(best.recipe) > max(level(search().space.uniform(w / 8)) for w in range(13)) + 0.5


def test_scores_without_noise_and_beyond_their_scale_are_searched_all_the_same(tmp_path: Path) -> None:
    one = Space(("uniform",), 0.0, 2.0)
    study = open_blocks(tmp_path, found=search(one, initial=InitialTrials((one.uniform(0), one.uniform(1)))))
    while study.told < 160:
        ask = study.ask()
        (weight,) = study.trials[ask.trial].recipe.weights.values()
        study.tell(ask, Told(tuple(30 * weight + q % 5 for q in range(ask.start, ask.stop)), {}))
    best = study.best()
    assert best is not None
    assert best.recipe.weights["uniform"] > 1.95
