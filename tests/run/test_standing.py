"""How a search stands, noted trial by trial."""

from __future__ import annotations

import random

from tvmerge.records import FAILURE, Recipe, Trial
from tvmerge.report.terminal.state import Counts
from tvmerge.run.standing import SearchStanding, baselines_among
from tvmerge.study.ranking import ranked_with_stopped

STATES = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")


def trial(number: int, draw: random.Random) -> Trial:
    state = draw.choice(STATES)
    weights = draw.choice([(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.75, 0.75), (0.3, 0.4)])
    recipe = Recipe(dict(zip("ab", weights, strict=True)))
    attrs = {FAILURE: "no rating"} if state == "FAIL" else {}
    return Trial(number, recipe, None if state == "FAIL" else draw.randint(1, 4) / 2, state, attrs)


def test_what_is_noted_trial_by_trial_is_what_all_trials_say() -> None:
    draw = random.Random(5)
    trials = [trial(number, draw) for number in range(40)]
    standing = SearchStanding(trials[:10])
    for told in range(10, 40):
        standing.add(trials[told])
        known = trials[: told + 1]
        running = [Trial(told + n, Recipe({"a": 0.2, "b": 0.1})) for n in (1, 2)]
        assert standing.counts(2) == Counts.of([*known, *running], {told + 1, told + 2})
        # Of several trials of one weight, either may be shown.
        expected = baselines_among(ranked_with_stopped(known))
        assert list(standing.baselines) == list(expected)
        uniform = {name: found for name, found in expected.items() if name.startswith("uniform")}
        assert {name: standing.baselines[name] for name in uniform} == uniform
