"""Scores on the scale of a judge that rates a sample: slope, difference, and what a search finds by them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.study.blocks.searches import open_blocks
from tvmerge.records import Recipe, Trial
from tvmerge.study.blocks.anchor import Anchoring, Pair, pairs_of, slope_of
from tvmerge.study.blocks.metric import metric_of
from tvmerge.study.blocks.sampler import REFITS, BlockSampler
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.study import Told
from tvmerge.study.blocks.table import BLOCKS, Ask, Table, asks_of
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials

SPACE = Space(("layers.0", "layers.1"), 0.0, 2.0)
BEST = np.array([0.6, 0.9])
QUESTIONS = 24


def pairs(slope: float, n: int, seed: int = 0) -> list[Pair]:
    rng = np.random.RandomState(seed)
    scores = rng.normal(5, 2, n)
    return [Pair(0, place, x, 3 + slope * x) for place, x in enumerate(scores)]


@pytest.mark.parametrize("slope", [0.4, 1.0, 1.7])
def test_the_slope_is_that_of_the_pairs_and_near_one_while_they_are_few(slope: float) -> None:
    assert slope_of(pairs(slope, 1000)) == pytest.approx(slope, abs=0.02)
    assert abs(slope_of(pairs(slope, 4)) - 1) <= abs(slope - 1) / 2
    assert slope_of([]) == 1
    assert slope_of([Pair(0, place, 5.0, float(place)) for place in range(9)]) == 1


def test_a_judge_that_always_disagrees_counts_for_nothing() -> None:
    assert slope_of(pairs(-1, 1000)) == 0


def test_pairs_are_questions_that_both_rated() -> None:
    asks = [
        Ask(0, 0, 4, 8, (1.0, 2.0, None, 4.0), (None, 5.0, 6.0, 7.0)),
        Ask(1, 1, 0, 2, ()),
        Ask(2, 1, 0, 2),
    ]
    assert pairs_of(asks) == [Pair(0, 5, 2.0, 5.0), Pair(0, 7, 4.0, 7.0)]


def test_the_anchors_scores_are_in_the_trial_and_come_back(tmp_path: object) -> None:
    row = [3, 0, 2, [1.0, 2.0], [None, 1.5]]
    trial = Trial(7, Recipe({}), attrs={BLOCKS: [row, [5, 2, 4, None]]})
    assert asks_of(trial) == [Ask(3, 7, 0, 2, (1.0, 2.0), (None, 1.5)), Ask(5, 7, 2, 4)]


def test_without_a_pair_the_difference_is_unknown() -> None:
    table = Table(np.ones((1, 2)), [Ask(0, 0, 0, 2, (5.0, 6.0), (None, None))], (), QUESTIONS)
    found = Anchoring(metric_of(SPACE.names), 1.0, REFITS).difference(table)
    assert found.slope == 1
    assert found.known.mean(np.ones((1, 2))) == pytest.approx([0])
    assert found.known.sd(np.ones((1, 2))) > 1


def truth(weights: np.ndarray) -> float:
    return 8 - 4 * float(((weights - BEST) ** 2).sum())


def liked_by_cheap(weights: np.ndarray) -> float:
    """The cheap judge likes long answers, which large weights make."""
    return truth(weights) + 8 * float(weights.mean() - 1)


def searched(seed: int, *, anchor: bool, answers: int) -> tuple[np.ndarray, float]:
    """The weights that a search recommends, and the mean that it expects of them."""
    found = BlockSearch(SPACE, InitialTrials((SPACE.uniform(0), SPACE.uniform(1))), QUESTIONS, 9.0, seed)
    sampler, asks, rows, numbers = BlockSampler(found, 4), list[Ask](), list[np.ndarray](), dict[bytes, int]()
    rng = random.Random(seed)
    while len(asks) * 4 < answers:
        choice = sampler.ask(len(asks), Table(np.array(rows).reshape(-1, 2), asks, (), QUESTIONS))
        number = numbers.setdefault(choice.weights.tobytes(), len(rows))
        if number == len(rows):
            rows.append(choice.weights)
        answer = [rng.gauss(0, 1) + place % 5 * 0.5 for place in range(choice.start, choice.stop)]
        cheap = tuple(0.7 * (liked_by_cheap(choice.weights) + a) + rng.gauss(1, 0.5) for a in answer)
        dear = tuple(truth(choice.weights) + a if rng.random() < 0.15 else None for a in answer)
        asks.append(Ask(len(asks), number, choice.start, choice.stop, cheap, dear if anchor else None))
    trial, mean, _ = sampler.ranked(Table(np.array(rows), asks, (), QUESTIONS))[0]
    return rows[trial], mean


def test_a_search_finds_what_the_anchor_prefers_where_the_cheap_judge_is_biased() -> None:
    cheap, _ = searched(1, anchor=False, answers=240)
    found, mean = searched(1, anchor=True, answers=240)
    assert truth(cheap) < 7
    assert truth(found) > 7.5
    # The expected mean is the anchor's, questions included, and not the other judge's.
    assert mean == pytest.approx(truth(found) + 1, abs=0.7)


def test_a_sampler_made_again_asks_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    def play(most: int, restart: bool) -> list[object]:
        folder = tmp_path_factory.mktemp("study")
        study = open_blocks(folder)
        while study.told < most:
            if restart and len(study.asks) in (12, 21, 30):
                study.close()
                study = open_blocks(folder)
            ask = study.ask()
            weights = list(study.trials[ask.trial].recipe.weights.values())
            study.tell(ask, _told(weights, ask))
        return [(trial.recipe, trial.attrs) for trial in study.trials]

    assert play(130, restart=True) == play(130, restart=False)


def _told(weights: Sequence[float], ask: Ask) -> Told:
    rng = random.Random(f"{weights} {ask.start}")
    level = 8 - sum((w - 0.7) ** 2 for w in weights)
    dear = [level + rng.gauss(0, 0.5) for _ in range(ask.start, ask.stop)]
    cheap = tuple(0.5 * y + 1 + rng.gauss(0, 0.3) for y in dear)
    return Told(cheap, {}, anchor=tuple(y if rng.random() < 0.3 else None for y in dear))
