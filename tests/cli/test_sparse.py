"""A search over a sparse task vector: nowhere is its weight 1 called the plain vector.

Several modules: the search, the report and the model card.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tvmerge.cli.app import run


def test_weight_1_of_a_sparse_vector_is_called_what_it_is(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    roles = [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
    settings = ["--bench-name=demo", "--judge=rules", "--n-trials=2", "--max-new-tokens=2", "--holdout=0.2"]
    sparse = ["--method=dare", "--density=0.25,0.5", "--optimize-mode=uniform"]
    folder = tmp_path / "run"
    assert run(["optimize", *roles, *settings, *sparse, f"--run-dir={folder}", "--study-name=s"]) == 0
    shown = capsys.readouterr()
    page = re.sub(r"\s+", " ", (folder / "report.html").read_text())
    card = (folder / "model" / "README.md").read_text()
    for text in (shown.out, page, card):
        assert "weight 1 (DARE, density 0.5)" in text
    for text in (shown.out, shown.err, page, card):
        assert "plain task vector" not in text
