"""What further answers can gain: against known truths, as a function of the table."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.study.blocks.searches import QUESTIONS, SPACE, answer, drive, open_blocks, search
from tvmerge.records import Recipe
from tvmerge.study.blocks.study import BlockStudy, Told

MOST = 7 * QUESTIONS


def true_regret(recipe: Recipe) -> float:
    """How far a candidate of `answer` is from the best that can be scored, apart from noise."""
    return sum((w - 0.5 * (i + 1)) ** 2 for i, w in enumerate(recipe.weights.values()))


def recommended(study: BlockStudy) -> Recipe:
    best = study.best()
    assert best is not None
    return best.recipe


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[BlockStudy]:
    folder = tmp_path_factory.mktemp("searches")
    return [
        drive(lambda seed=seed: open_blocks(folder / str(seed), found=search(seed=seed)), MOST)  # type: ignore[misc]
        for seed in range(4)
    ]


def test_the_mean_regret_is_of_the_order_it_estimates_and_mostly_under_its_bound(
    studies: list[BlockStudy],
) -> None:
    found = [(study.prospect(), true_regret(recommended(study))) for study in studies]
    estimated = [(known.regret, known.regret_95, truth) for known, truth in found if known is not None]
    assert len(estimated) == len(studies)
    mean, _, truth = (sum(column) / len(estimated) for column in zip(*estimated, strict=True))
    assert truth / 2 < mean < 6 * truth + 0.2
    assert sum(truth <= bound for _, bound, truth in estimated) >= len(estimated) - 1


def test_less_is_left_to_gain_the_more_is_known(studies: list[BlockStudy]) -> None:
    early = [study.prospect(24) for study in studies]
    late = [study.prospect() for study in studies]
    for of in ("gain", "regret", "regret_95"):
        before, after = (sum(getattr(found, of) for found in moment) for moment in (early, late))
        assert after < 0.7 * before


def test_a_prospect_is_a_function_of_the_first_asks(studies: list[BlockStudy], tmp_path: Path) -> None:
    shorter = drive(lambda: open_blocks(tmp_path, 3, search(seed=0)), 130)
    longer = drive(lambda: open_blocks(tmp_path / "longer", 3, search(seed=0)), MOST)
    assert longer.prospect() != longer.prospect(30) == shorter.prospect(30)
    assert shorter.prospect(30) == open_blocks(tmp_path, 3, search(seed=0)).prospect(30)


def test_nothing_is_said_before_the_model_is_fitted_or_without_a_score(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path / "short"), 70)
    assert study.checkpoint(1) < 20
    assert study.prospect() is None
    drive(lambda: study, 90)
    assert study.prospect() is not None
    silent = open_blocks(tmp_path / "silent")
    while silent.told < 24 * 4:
        silent.tell(silent.ask(), Told((), {}, "not finite"))
    assert silent.prospect() is None


def test_weights_without_effect_promise_next_to_nothing(tmp_path: Path) -> None:
    study = open_blocks(tmp_path)
    while study.told < MOST:
        ask = study.ask()
        noise = random.Random(ask.number)
        scores = tuple(5 + place % 3 + noise.gauss(0, 0.3) for place in range(ask.start, ask.stop))
        study.tell(ask, Told(scores, {}))
    found = study.prospect()
    assert found is not None
    assert found.answers == study.told
    assert 0 <= found.gain <= found.regret_95
    assert found.gain < 0.1


def test_it_is_in_scores_whatever_their_scale(tmp_path: Path) -> None:
    """The same search, of scores from 0 to 1."""
    plain = open_blocks(tmp_path / "plain")
    small = open_blocks(tmp_path / "small", found=replace(search(), scale=1.0))
    for study, unit in ((plain, 1.0), (small, 1 / 9)):
        while study.told < 4 * QUESTIONS:
            ask = study.ask()
            told = answer(study.trials[ask.trial].recipe, ask)
            scores = tuple(None if score is None else score * unit for score in told.scores)
            study.tell(ask, Told(scores, {}, told.failure))
    one, other = plain.prospect(), small.prospect()
    assert one is not None
    assert other is not None
    assert other.regret == pytest.approx(one.regret / 9, abs=2e-4)


def test_the_optimum_of_the_tests_is_in_range() -> None:
    assert all(SPACE.low <= 0.5 * (i + 1) <= SPACE.high for i in range(len(SPACE.names)))
