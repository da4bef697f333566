"""The files in requirements/: every package that make installs is pinned, as in constraints.txt, with hashes.

No module: tools/lock writes them, which is no part of the package.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import FOLDER, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = ("torch", "tvmerge", "dev", "docs", "build", "audit", "fuzz", "quality")


def listed(*names: str) -> dict[str, list[str]]:
    """Return the lines of each package in files of requirements/, a text for each entry."""
    found: dict[str, list[str]] = {}
    for name in names:
        text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", "")
        for line in text.splitlines():
            if not line.startswith("#"):
                found.setdefault(canonicalize_name(line.partition("==")[0]), []).append(line)
    return found


def needed(*requirements: str) -> set[str]:
    names = set()
    for requirement in map(Requirement, requirements):
        if requirement.name == PROJECT["project"]["name"]:
            for extra in requirement.extras:
                names |= needed(*PROJECT["project"]["optional-dependencies"][extra])
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def test_every_file_is_read() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_entry_is_one_version_with_hashes(name: str) -> None:
    for entries in listed(name).values():
        for entry in entries:
            pin, *hashes = entry.split("--hash=")
            assert re.fullmatch(r"[\w.-]+==[\w.!+]+(?: ; .+)?\s*", pin), entry
            assert hashes, entry
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", text) for text in hashes), entry


def test_the_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {str(canonicalize_name(name)): version for name, version in pins.items()}
    for name, entries in listed("torch", "tvmerge", "dev", "docs", "build").items():
        versions = {re.split(r"[\s;]", entry.partition("==")[2])[0] for entry in entries}
        assert pinned.get(name) in {None, *versions}, f"{name}: run make lock"


@pytest.mark.parametrize(("extra", "files"), [(None, []), ("dev", ["dev"]), ("docs", ["docs"])])
def test_all_that_the_project_needs_is_listed(extra: str | None, files: list[str]) -> None:
    asked = PROJECT["project"]["dependencies"]
    if extra is not None:
        asked = asked + PROJECT["project"]["optional-dependencies"][extra]
    assert needed(*asked) - {"torch"} <= set(listed("tvmerge", *files)), "run make lock"


def test_tools_are_listed_with_what_they_need() -> None:
    for group, requirements in PROJECT["dependency-groups"].items():
        assert needed(*requirements) <= set(listed(group)), "run make lock"
    assert needed(*PROJECT["build-system"]["requires"]) <= set(listed("build"))
