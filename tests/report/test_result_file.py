"""What `result.json` says of the winner and of the verdict."""

from __future__ import annotations

from dataclasses import replace

from tests.report import results
from tvmerge.records import Estimate
from tvmerge.report.conclusion import conclude
from tvmerge.report.result import Finalist
from tvmerge.report.result_file import as_json


def test_the_verdict_and_the_winner_are_in_the_file() -> None:
    run = replace(results.simple(), finalists=(Finalist(4, Estimate(7, 0.2, 56), None),))
    data = as_json(run)
    assert data["winner"] == {"trial": 23, "best_of_search": 4}
    assert data["verdict"] == {
        "kind": "better",
        "sentence": conclude(run).sentence,
        "rival": "weight_1",
        "questions": 24,
        "fewest_questions": 6,
    }
    few = as_json(results.few(5))["verdict"]
    assert (few["kind"], few["questions"]) == ("too_few", 5)
    without = as_json(results.without_holdout())
    assert without["winner"] is None
    assert (without["verdict"]["kind"], without["verdict"]["questions"]) == ("unmeasured", 0)
