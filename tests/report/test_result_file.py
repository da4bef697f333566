"""What `result.json` says of the winner and of the verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report import results
from tvmerge.errors import AssetError
from tvmerge.records import Estimate
from tvmerge.report.conclusion import conclude
from tvmerge.report.result import Finalist
from tvmerge.report.result_file import as_json, read_record


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_range": ["a", 1]}, "weight_range is"),
        ({"seconds": "1"}, "seconds is"),
        ({"models": [1]}, "models is"),
        ({"search": {}}, "it has no best candidate"),
        ({"judging": {"usage": [{"judge": 1}], "agreement": None}}, "judge is 1"),
        ({"judging": {"usage": [], "agreement": {"": 1}}}, "KeyError: 'units'"),
        ({"prospects": {"answers": "1"}}, "answers is '1'"),
    ],
)
def test_a_result_of_other_types_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(as_json(results.simple()) | change), encoding="utf-8")
    with pytest.raises(AssetError, match=f"not the result of a run of tvmerge .*{message}"):
        read_record(file, ())
