"""One new thing, one new file: at every extension point, from a file of ours and from an installed package.

Several modules: all extension points, by commands of the whole program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

import tvmerge
from tests import ready
from tests.cli.judged import make_bench
from tests.plugins.package import THINGS, add_file, install
from tests.plugins.runs import RUNS, models, prepare
from tvmerge.cli.app import run

PACKAGE = Path(tvmerge.__file__).parent

ALL_OF_THEM = """
judge = ["acme/m"]
engine = "acme"
optuna_sampler = "acme"
optimize_mode = "acme"
method = "acme"
density = [0.5]
n_trials = 4
uniform_weights = [0.0, 1.0]
max_new_tokens = 8
holdout = 0.0
study_name = "s"

[sampler]
weight = 0.75

[[task_kinds]]
kind = "acme"
count = 4
"""


def command(folder: Path, cache: Path, argv: tuple[str, ...], *path: Path) -> ready.Done:
    """`python -m tvmerge` in a process of its own, with these folders on its path."""
    env = {**os.environ, "TVMERGE_CACHE_DIR": str(cache)}
    return ready.call(folder / "logs", ready.run_module, "tvmerge", argv, cwd=folder, path=path, env=env)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, which a test may add a file to."""
    folder = tmp_path_factory.mktemp("copy")
    for data in ("judges", "benchmarks", "prompts", "examples"):
        (folder / data).symlink_to(PACKAGE.parent / data)
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, folder / "tvmerge", ignore=ignored))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers are generated once for all runs that ask the same."""
    return tmp_path_factory.mktemp("cache")


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.mark.parametrize("thing", THINGS)
def test_one_new_file_is_enough(thing: str, copy: Path, cache: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    before = files(copy)
    added = add_file(copy, thing)
    assert files(copy) - before == {added}
    try:
        done = command(tmp_path, cache, RUNS[thing].argv, copy.parent)
    finally:
        added.unlink()
    assert done.returncode == 0, done.stderr
    RUNS[thing].check(tmp_path)


@pytest.mark.parametrize("thing", THINGS)
def test_one_entry_point_of_an_installed_package_is_enough(
    thing: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", [thing])
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "acme_tv", raising=False)
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(cache))
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(list(RUNS[thing].argv)) == 0
    RUNS[thing].check(tmp_path)


@pytest.mark.parametrize("thing", THINGS)
def test_the_recipe_names_the_folder_of_that_file_and_the_page_of_plug_ins_its_group(thing: str) -> None:
    contributing = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = contributing.partition("## Recipes")[2].partition("\n## ")[0]
    folder, group = THINGS[thing].folder, THINGS[thing].group
    assert re.search(rf"\bone file in\s+`tvmerge/{folder}/`", recipes, re.IGNORECASE)
    page = (PACKAGE.parent / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert re.search(rf"\| `{group}` \| .* \| `tvmerge/{folder}/__init__.py` \|", page)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of all things installed under `site`, and the run that used it under `out`."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder / "site")
    make_bench(folder / "bench", questions=4)
    (folder / "run.toml").write_text(ALL_OF_THEM)
    done = search(folder, folder / "site")
    assert done.returncode == 0, done.stderr
    return folder


def search(folder: Path, site: Path) -> ready.Done:
    argv = ("optimize", "--config=run.toml", "--run-dir=out", "--bench-name=bench", *models())
    return command(folder, folder / "cache", argv, site, PACKAGE.parent)


def test_all_things_of_a_package_work_together(installed: Path) -> None:
    out = installed / "out"
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert set(result["weights"]) == {"matrices", "vectors"}
    assert set(result["search"]["best"]) >= {"mean"}
    assert result["judging"]["usage"][0]["calls"] > 0
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Coverage of the trials", "Rating: [[5]]", "lengths"):
        assert words in page


def test_a_study_does_not_go_on_with_another_version_of_a_package(installed: Path, tmp_path: Path) -> None:
    install(tmp_path / "site", version="0.2")
    done = search(installed, tmp_path / "site")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    for what in ("judge", "sampler", "engine", "method", "task"):
        assert f"{what}_package" in line


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    prepare(tmp_path)
    done = command(tmp_path, tmp_path / "cache", RUNS["engine"].argv, PACKAGE.parent)
    assert done.returncode == 2
    assert "engine must be one of auto, transformers, vllm" in done.stderr
