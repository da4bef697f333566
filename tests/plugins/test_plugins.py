"""A search with one new thing of each kind: from an installed package, and from one new file each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tvmerge
from tests.cli.judged import make_bench
from tests.plugins.package import FOLDERS, add_files, install
from tvmerge._util.assets import bundled_demo_models

PACKAGE = Path(tvmerge.__file__).parent

CONFIG = """
judge = ["acme/m"]
engine = "acme"
optuna_sampler = "acme"
optimize_mode = "acme"
method = "acme"
density = [0.5]
n_trials = 4
max_new_tokens = 8
holdout = 0.0
study_name = "s"

[sampler]
skip = 3

[[task_kinds]]
kind = "acme"
count = 4
"""


def search(folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """A whole run in a process of its own, with these folders on its path."""
    models = bundled_demo_models()
    bench = folder / "bench"
    if not bench.exists():
        make_bench(bench, questions=4)
        (folder / "run.toml").write_text(CONFIG)
    return subprocess.run(
        [
            *(sys.executable, "-m", "tvmerge", "optimize", "--config=run.toml", "--run-dir=out"),
            f"--bench-name={bench}",
            *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "TVMERGE_CACHE_DIR": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def assert_all_at_work(out: Path) -> None:
    """All seven were at work: their names, their weights, their words."""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert set(result["weights"]) == {"matrices", "vectors"}
    assert set(result["search"]["best"]) >= {"mean"}
    assert result["judging"]["usage"][0]["calls"] > 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Coverage of the trials" in page
    assert "Rating: [[5]]" in page
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "There is no `mergekit.yml`: mergekit has no counterpart of the method acme." in card
    assert not (out / "model" / "mergekit.yml").exists()
    assert "lengths" in page


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package installed under `site`, and the run that used it under `out`."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder / "site")
    done = search(folder, folder / "site", PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_search_with_an_installed_package_uses_all_it_brings(installed: Path) -> None:
    assert_all_at_work(installed / "out")


def test_a_study_does_not_go_on_with_another_version_of_a_package(installed: Path, tmp_path: Path) -> None:
    install(tmp_path / "site", version="0.2")
    done = search(installed, tmp_path / "site", PACKAGE.parent)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    for what in ("judge", "sampler", "engine", "method", "task"):
        assert f"{what}_package" in line


def test_one_new_file_each_is_enough(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(PACKAGE.parent / "tvmerge", tmp_path / "copy" / "tvmerge"))
    for data in ("judges", "benchmarks", "prompts", "examples"):
        (tmp_path / "copy" / data).symlink_to(PACKAGE.parent / data)
    assert len(add_files(copy)) == len(FOLDERS)
    done = search(tmp_path, tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    assert_all_at_work(tmp_path / "out")


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    done = search(tmp_path, PACKAGE.parent)
    assert done.returncode == 2
    assert "engine must be one of auto, transformers, vllm" in done.stderr
