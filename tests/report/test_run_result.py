"""A result as Python and notebooks show it."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.results import simple
from tvmerge.errors import MissingExtraError
from tvmerge.records import Recipe
from tvmerge.report.run_result import RunResult

FOUND = RunResult.of(simple(), Path("runs/x"))


def test_it_prints_the_table_and_the_conclusion_and_is_short_in_a_list() -> None:
    assert "weight 0 (the untouched target)" in str(FOUND)
    assert " ".join(str(FOUND).split()).endswith(FOUND.conclusion)
    assert "\x1b" not in str(FOUND)
    assert repr(FOUND).startswith(f"<RunResult of study '{FOUND.study}': trial {FOUND.best.trial} with ")
    assert "\n" not in repr(FOUND)


def test_a_notebook_shows_table_and_figures_and_no_foreign_markup() -> None:
    hostile = RunResult.of(replace(FOUND, study="<script>alert(1)</script>"), Path())
    html = hostile._repr_html_()
    assert html.count("<svg") == 6
    assert html.count("<tr>") == len(FOUND.contenders) + 1
    assert "<script" not in html
    for figure in FOUND.figures.values():
        assert figure._repr_svg_() == figure


def test_figures_are_svg_texts_that_can_be_saved(tmp_path: Path) -> None:
    assert list(FOUND.figures) == ["scores", "history", "heatmap", "weights", "scatter", "spending"]
    for name, figure in FOUND.figures.items():
        path = figure.save(tmp_path / f"{name}.svg")
        assert ET.parse(path).getroot().tag.endswith("svg")


def test_the_winner_is_at_hand() -> None:
    assert FOUND.best is FOUND.contenders[0]
    assert FOUND.recipe == Recipe(FOUND.best.weights)
    assert (FOUND.report, FOUND.model_folder) == (Path("runs/x/report.html"), Path(FOUND.output))


def test_trials_are_a_data_frame_with_the_names_of_optuna() -> None:
    frame = FOUND.trials_dataframe()
    assert list(frame["number"]) == [trial.number for trial in FOUND.trials]
    assert list(frame.columns)[:3] == ["number", "value", "state"]
    first = FOUND.trials[0]
    assert frame["value"][0] == first.value
    for name, weight in first.recipe.weights.items():
        assert frame[f"params_{name}"][0] == weight
    assert frame["user_attrs_se"][0] == first.attrs["se"]


def test_several_objectives_have_a_column_each() -> None:
    trials = tuple(replace(trial, values=(1.0, 2.0)) for trial in FOUND.trials if trial.scored)
    failed = tuple(trial for trial in FOUND.trials if trial.state == "FAIL")
    frame = RunResult.of(replace(FOUND, trials=(*trials, *failed)), Path()).trials_dataframe()
    assert list(frame.columns)[1:3] == ["values_0", "values_1"]
    assert list(frame["values_1"].dropna()) == [2.0] * len(trials)


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tvmerge\[pandas\]'"):
        FOUND.trials_dataframe()
