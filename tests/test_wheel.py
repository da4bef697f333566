"""The wheel in an environment that has what it asks for and nothing else, away from the repository.

Several modules: the whole package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tvmerge.report.page.assets import script, style

ROOT = Path(__file__).resolve().parents[1]

CONTENTS = {
    "tvmerge": "tvmerge",
    "judges": "tvmerge/_data/judges",
    "benchmarks": "tvmerge/_data/benchmarks",
    "prompts": "tvmerge/_data/prompts",
    "examples/demo/models": "tvmerge/_data/demo",
}
"""Where the folders of the repository are in the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT))
    (found,) = folder.glob("tvmerge-*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment, with the wheel and links to what it requires."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    scheme = {name: str(folder) for name in ("base", "platbase", "installed_base", "installed_platbase")}
    place = Path(sysconfig.get_path("purelib", "venv", scheme))
    for entry in required_entries(wheel):
        (place / entry.name).symlink_to(entry)
    programs = Path(sysconfig.get_path("scripts", "venv", scheme))
    python = programs / Path(sys.executable).name
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    return programs


def pip(*argv: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *argv, "--quiet"], check=True, timeout=120)


def metadata(wheel: Path) -> Iterable[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def required_entries(wheel: Path) -> Iterator[Path]:
    """The files and folders that installing what the wheel requires puts into an environment."""
    for found in required(metadata(wheel)):
        assert found.files is not None
        for name in sorted({path.parts[0] for path in found.files} - {"..", "__pycache__"}):
            yield Path(str(found.locate_file(name)))


def required(wanted: Iterable[str]) -> Iterator[Distribution]:
    """The distributions that meet requirements, and those that these require in turn."""
    seen: set[tuple[str, str]] = set()
    waiting = [(text, "") for text in wanted]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        new = [(name, own) for own in ("", *requirement.extras) if (name, own) not in seen]
        if not new:
            continue
        found = distribution(name)
        if (name, "") in new:
            yield found
        seen.update(new)
        waiting += [(text, own) for text in found.requires or () for _, own in new]


def run(environment: Path, folder: Path, *argv: str) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"TVMERGE_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [environment / "tvmerge", *argv],
        cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_every_file_of_the_package_and_its_data_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [
        (place, path.relative_to(ROOT / own))
        for own, place in CONTENTS.items()
        for path in (ROOT / own).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert names == {f"{place}/{path.as_posix()}" for place, path in files}


def test_the_demo_runs_where_only_the_wheel_is(environment: Path, tmp_path: Path) -> None:
    screen = run(environment, tmp_path, "demo", "--n-trials=1", "--holdout=0.1", "--max-new-tokens=4")
    assert "winner" in screen
    folder = tmp_path / "runs" / "demo"
    settings = json.loads((folder / "result.json").read_text(encoding="utf-8"))["settings"]
    for path in (*settings["target_model"], settings["base_model"], settings["tuned_model"]):
        assert Path(path).is_relative_to(environment.parent)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert style() in page
    assert script() in page
    assert (folder / "model" / "model.safetensors").is_file()


def test_the_command_lists_the_judges_that_ship(environment: Path, tmp_path: Path) -> None:
    listed = run(environment, tmp_path, "list", "judges")
    assert [path.stem for path in (ROOT / "judges").glob("*.toml") if path.stem not in listed] == []
