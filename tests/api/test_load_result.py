"""What a run found, read back from its folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import tvmerge
from tests.report.results import LAYERS, simple
from tvmerge.errors import AssetError, TvmergeError
from tvmerge.report.page.page import render_page
from tvmerge.report.result_file import as_json


def plain(result: tvmerge.RunResult) -> object:
    """A result as plain data."""
    return json.loads(json.dumps(as_json(result)))


def test_a_result_is_read_back_as_it_was_returned(finished: tvmerge.RunResult) -> None:
    for path in (finished.folder, finished.folder / "result.json", str(finished.folder)):
        found = tvmerge.load_result(path)
        assert plain(found) == plain(finished)
        assert found.trials == finished.trials
        assert [c.weights for c in found.contenders] == [c.weights for c in finished.contenders]
        assert found.recipe == finished.recipe
        assert (found.conclusion, found.figures["history"]) == (
            finished.conclusion,
            finished.figures["history"],
        )
        assert (found.folder, found.report.is_file()) == (finished.folder, True)
        assert (found.model_folder / "model.safetensors").is_file()
        assert render_page(found) == finished.report.read_text(encoding="utf-8")


def test_a_result_of_an_earlier_release_is_read_with_the_trials_of_its_study(
    finished: tvmerge.RunResult, tmp_path: Path
) -> None:
    folder = tmp_path / "earlier"
    shutil.copytree(finished.folder, folder)
    data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del data["contenders"], data["weight_range"]
    (folder / "result.json").write_text(json.dumps(data), encoding="utf-8")
    (folder / "trials.jsonl").unlink()
    found = tvmerge.load_result(folder)
    assert [(t.number, t.state, t.values, t.attrs) for t in found.trials] == [
        (t.number, t.state, t.values, t.attrs) for t in finished.trials
    ]
    assert [dict(t.recipe.weights) for t in found.trials] == [dict(t.recipe.weights) for t in finished.trials]
    assert [(c.key, c.trial, dict(c.weights)) for c in found.contenders] == [
        (c.key, c.trial, dict(c.weights)) for c in finished.contenders
    ]
    assert found.weight_range == finished.weight_range
    (folder / "study.db").unlink()
    alone = tvmerge.load_result(folder)
    assert alone.trials == ()
    assert alone.contenders[1].weights == dict.fromkeys(finished.best.weights, 0.0)
    assert len(alone.trials_dataframe()) == 0


def test_undefined_numbers_and_missing_scores_are_read_back(tmp_path: Path) -> None:
    made = simple()
    best = replace(made.contenders[0], holdout=None, shortfall="too few ratings")
    prospects = {
        "answers": 9,
        "gain": 0.1,
        "regret": 0.2,
        "regret_95": 0.3,
        "stop_when": None,
        "stopped": False,
    }
    record = replace(
        made, contenders=(best, *made.contenders[1:]), weight_range=(0.0, 1.5), prospects=prospects
    )
    (tmp_path / "result.json").write_text(json.dumps(as_json(record)), encoding="utf-8")
    found = tvmerge.load_result(tmp_path)
    assert (found.best.holdout, found.best.shortfall) == (None, "too few ratings")
    assert found.weight_range == (0.0, 1.5)
    assert found.prospects == prospects
    assert tuple(found.best.weights) == LAYERS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run folder; pass --storage and --study-name"),
        ("{", "not valid JSON"),
        ("[]", "not the result of a run of tvmerge"),
        ('{"study": "s"}', r"not the result of a run of tvmerge \(KeyError: 'settings'\)"),
    ],
)
def test_what_is_no_result_is_refused_in_a_line(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content, encoding="utf-8")
    with pytest.raises(TvmergeError, match=message) as refusal:
        tvmerge.load_result(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_row_that_is_no_trial_is_named(finished: tvmerge.RunResult, tmp_path: Path) -> None:
    shutil.copy(finished.folder / "result.json", tmp_path)
    (tmp_path / "trials.jsonl").write_text('{"number": 0}\n', encoding="utf-8")
    with pytest.raises(AssetError, match=r"trials\.jsonl:1: no trial"):
        tvmerge.load_result(tmp_path)
