"""TPE that knows its search space draws what Optuna's draws."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from tvmerge.study.known_space_tpe import KnownSpaceTpe, Rows

VARYING = {
    "norm": FloatDistribution(0, 2),
    "embeddings": FloatDistribution(0, 2),
    "層.0": FloatDistribution(-1, 1),
}
FLOATS = {**VARYING, "fixed": FloatDistribution(1, 1)}
SPACE: dict[str, BaseDistribution] = dict(FLOATS)


@pytest.mark.parametrize("objectives", [1, 2])
def test_it_draws_what_optuna_draws_whatever_became_of_the_trials(objectives: int) -> None:
    known, plain = (optuna.create_study(directions=["maximize"] * objectives) for _ in range(2))
    rows: Rows = WeakKeyDictionary()
    asked = []
    for number in range(30):
        known.sampler = KnownSpaceTpe(FLOATS, rows, seed=number, n_startup_trials=8)
        plain.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=8, multivariate=True)
        first, second = known.ask(SPACE), plain.ask(SPACE)
        assert first.params == second.params
        asked.append(((known, first), (plain, second)))
        if number < 2:  # from here on, two others are running
            continue
        for study, trial in asked[number - 2]:
            if number % 5 == 3:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, [sum(trial.params.values())] * objectives)
    assert len(rows[known]) == 21  # those told, less the last, which nobody has read


def test_studies_that_share_what_was_read_do_not_take_each_other_s_trials() -> None:
    shared: Rows = WeakKeyDictionary()
    for value in (1.0, -1.0):
        study = optuna.create_study(direction="maximize")
        for number in range(14):
            study.sampler = KnownSpaceTpe(FLOATS, shared, seed=number)
            trial = study.ask(SPACE)
            study.tell(trial, value * trial.params["norm"])
        study.ask()
        running = study.trials[-1]
        drawn = [
            KnownSpaceTpe(FLOATS, rows, seed=99).sample_relative(study, running, dict(VARYING))
            for rows in (shared, WeakKeyDictionary())
        ]
        assert drawn[0] == drawn[1] != {}
