"""Extension points: names without imports, one thing for each name, one line for what is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from tvmerge._util.plugins import Plugins
from tvmerge.errors import ConfigError


@dataclass(frozen=True)
class Spice:
    """What the extension point of these tests is made of."""

    heat: int


GOOD = "from tests._util.test_plugins import Spice\n\nSPICE = Spice({})\n"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, with a package `shelf` that has room for spices."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").touch()
    for name in [name for name in sys.modules if name.split(".")[0] in ("shelf", "guest", "other")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for stem, text in files.items():
        (folder / "shelf" / f"{stem}.py").write_text(text)


def install(folder: Path, package: str, text: str, name: str, version: str = "1.2") -> None:
    """A package with one module, as pip leaves it behind."""
    (folder / f"{package}.py").write_text(text)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[tests.spices]\n{name} = {package}\n")


def spices() -> Plugins[Spice]:
    return Plugins("spice", Spice, "SPICE", "shelf", "tests.spices", spelled={"black_pepper": "Black-Pepper"})


def test_names_are_those_of_files_and_of_entry_points_and_nothing_is_imported(shelf: Path) -> None:
    write(shelf, salt="1 / 0", black_pepper="1 / 0", _mill="1 / 0")
    install(shelf, "guest", "1 / 0", "chili")
    assert spices().names() == ("Black-Pepper", "salt", "chili")


def test_a_file_is_found_by_its_stem_or_by_the_name_it_is_spelled_with(shelf: Path) -> None:
    write(shelf, salt=GOOD.format(0), black_pepper=GOOD.format(3))
    assert [spices().load(name).heat for name in ("salt", "Black-Pepper")] == [0, 3]
    assert spices().identity("salt", "spice_package") == {}


def test_a_package_brings_one_and_its_version_is_part_of_what_it_is(shelf: Path) -> None:
    install(shelf, "guest", GOOD.format(9), "chili")
    assert spices().load("chili") == Spice(9)
    assert spices().identity("chili", "spice_package") == {"spice_package": "guest 1.2"}


def test_installed_packages_are_read_once_until_another_one_is_installed(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read = metadata.entry_points

    def counted() -> object:
        reads.append(1)
        return read()

    monkeypatch.setattr(metadata, "entry_points", counted)
    install(shelf, "guest", "1 / 0", "chili")
    for _ in range(3):
        assert (spices().names(), spices().origin("chili")) == (("chili",), "guest 1.2")
    assert len(reads) == 1
    later = shelf.stat().st_mtime_ns + 10**9
    install(shelf, "other", "1 / 0", "ginger")
    os.utime(shelf, ns=(later, later))  # a clock may be too coarse for a test
    assert spices().names() == ("chili", "ginger")


def fault_of(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        spices().load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_name_lists_those_there_are(shelf: Path) -> None:
    write(shelf, salt=GOOD.format(0))
    install(shelf, "guest", GOOD.format(9), "chili")
    assert fault_of("sugar") == "unknown spice 'sugar'; known: salt, chili"


def test_two_of_one_name_are_refused_and_both_packages_named(shelf: Path) -> None:
    write(shelf, salt=GOOD.format(0))
    install(shelf, "guest", GOOD.format(1), "salt")
    install(shelf, "other", GOOD.format(2), "salt")
    assert spices().names() == ("salt",)
    fault = fault_of("salt")
    assert fault.startswith("several packages have a spice 'salt': tvmerge, ")
    assert {"guest 1.2", "other 1.2"} <= set(fault.split(": ")[1].split("; ")[0].split(", "))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_package_that_does_not_load_is_named(shelf: Path, text: str, reason: str) -> None:
    install(shelf, "guest", text, "chili")
    fault = fault_of("chili")
    assert fault.startswith(f"the spice 'chili' of guest 1.2 cannot be loaded ({reason}")


@pytest.mark.parametrize("text", ["", "SPICE = 3"])
def test_a_module_that_defines_something_else_is_told_what_to_define(shelf: Path, text: str) -> None:
    write(shelf, salt=text)
    install(shelf, "guest", text, "chili")
    wanted = "does not define SPICE, a tests._util.test_plugins.Spice"
    assert fault_of("chili") == f"the entry point guest of guest 1.2 {wanted}"
    assert fault_of("salt") == f"the file of shelf.salt {wanted}"
