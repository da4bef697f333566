"""What `make` installs with: it says what it does, finds torch for CPUs, and fails aloud.

No module: tools/install, which is no part of the package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import install

SCRIPT = Path(install.__file__)


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=300
    )


@pytest.mark.parametrize(
    ("listed", "newest"),
    [
        ("torch (2.15.0)\nAvailable versions: 2.15.0, 2.14.1, 2.13.0+cpu, 2.13.0, 2.9.1+cpu", "2.13.0+cpu"),
        ("Available versions: 2.9.0+cpu, 2.10.0+cpu, 2.10.0+cpu.cxx11.abi", "2.10.0+cpu"),
        ("Available versions: 2.5.1+cpu, 2.6.0+cu124, 2.15.0", None),
        ("ERROR: No matching distribution found for torch", None),
        ("", None),
    ],
)
def test_the_newest_build_for_cpus_is_found_among_what_pip_lists(listed: str, newest: str | None) -> None:
    assert install.newest_cpu_build(listed) == newest


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("Available versions: 2.15.0+cpu, 2.13.0+cpu, 2.13.0", "2.13.0+cpu"),
        ("Available versions: 2.15.0+cpu, 12.13.0+cpu, 2.13.0, 2.13.0+cpu.cxx11.abi", None),
    ],
)
def test_of_a_pinned_torch_only_that_release_is_taken(listed: str, found: str | None) -> None:
    assert install.newest_cpu_build(listed, "2.13.0") == found


def test_the_constraints_pin_torch() -> None:
    """Else pip would replace a newer build for CPUs by the usual one of the pinned release."""
    constraints = SCRIPT.parent.parent / "constraints.txt"
    pinned = install.pinned_torch(["--constraint", str(constraints), "--editable", "."])
    assert pinned is not None
    assert f"torch=={pinned}" in constraints.read_text(encoding="utf-8").splitlines()
    assert install.pinned_torch(["--editable", "."]) is None


@pytest.mark.parametrize(
    ("system", "drivers", "wanted"),
    [("Linux", False, True), ("Linux", True, False), ("Darwin", False, False)],
)
def test_only_linux_without_a_gpu_needs_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, drivers: bool, wanted: bool
) -> None:
    driver = tmp_path / "driver"
    if drivers:
        driver.touch()
    monkeypatch.setattr(install, "DRIVERS", (str(driver),))
    monkeypatch.setattr("platform.system", lambda: system)
    assert install.wants_cpu_build() is wanted


def test_an_index_without_builds_for_cpus_is_no_error(tmp_path: Path) -> None:
    """A stand-in for pip lists versions of the usual build only, and knows no other index."""
    pip = tmp_path / "pip.py"
    pip.write_text("import sys\nsys.exit('no such index') if '--index-url' in sys.argv else print('2.15.0')")
    assert install.cpu_build([sys.executable, str(pip)]) is None
    pip.write_text("import sys\nprint('2.15.0+cpu' if '--index-url' in sys.argv else '2.15.0')")
    assert install.cpu_build([sys.executable, str(pip)]) == ("2.15.0+cpu", ["--index-url", install.CPU_INDEX])
    pip.write_text("print('2.15.0, 2.14.0+cpu')")
    assert install.cpu_build([sys.executable, str(pip)]) == ("2.14.0+cpu", [])


def test_a_command_that_works_shows_what_it_does_and_not_its_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, said = install.watched("counting", [sys.executable, "-c", "print('one\\x1b[2J\\n\\ntwo')"])
    assert (code, said) == (0, ["one [2J", "two"])
    printed = capfd.readouterr()
    assert re.fullmatch(r"counting: done, \d+ s\n", printed.out)
    assert printed.err == ""


def test_what_pip_says_of_a_failure_is_shown_and_make_stops() -> None:
    done = run_script("packages", "--no-index", "tvmerge-needs-no-such-package")
    assert done.returncode == 1
    assert done.stdout.startswith("installs tvmerge and what it needs into ")
    assert "installing: failed" in done.stdout
    assert "No matching distribution found for tvmerge-needs-no-such-package" in done.stderr


def test_an_environment_that_is_complete_is_left_as_it_is() -> None:
    done = run_script("packages", "--no-index", "pip")
    assert done.returncode == 0, done.stderr
    assert "to download" not in done.stdout
    assert "installing: done" in done.stdout


def test_what_it_cannot_do_is_said() -> None:
    done = run_script("everything")
    assert done.returncode == 2
    assert "tools/install.py venv FOLDER" in done.stderr
