"""What `make` installs with: it says what it does, finds torch for CPUs, and fails aloud.

No module: tools/install, which is no part of the package.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
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


@pytest.mark.parametrize(
    "listed",
    [
        "2.15.0",
        "torch (2.15.0)\nAvailable versions: 2.15.0+cpu, 12.13.0+cpu, 2.13.0, 2.13.0+cpu.cxx11.abi",
    ],
)
def test_an_index_without_the_build_for_cpus_is_no_error(tmp_path: Path, listed: str) -> None:
    """A stand-in for pip lists other builds only, and knows no other index or one that has it."""
    pip = tmp_path / "pip.py"
    pip.write_text(f"import sys\nsys.exit('none') if '--index-url' in sys.argv else print({listed!r})")
    assert install.cpu_source([sys.executable, str(pip)], "2.13.0") is None
    pip.write_text(f"import sys\nprint('2.14.0, 2.13.0+cpu' if '--index-url' in sys.argv else {listed!r})")
    found = install.cpu_source([sys.executable, str(pip)], "2.13.0")
    assert found == ["--index-url", install.CPU_INDEX]
    pip.write_text("print('2.14.0+cpu, 2.13.0+cpu')")
    assert install.cpu_source([sys.executable, str(pip)], "2.13.0") == []


def test_a_command_that_works_shows_what_it_does_and_not_its_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, said = install.watched("counting", [sys.executable, "-c", "print('one\\x1b[2J\\n\\ntwo')"])
    assert (code, said) == (0, ["one [2J", "two"])
    printed = capfd.readouterr()
    assert re.fullmatch(r"counting: done, \d+ s\n", printed.out)
    assert printed.err == ""


def test_a_long_line_is_cut_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_SELDOM", 0.0)
    said = "print('Installing ' + 'package, ' * 100, flush=True); import time; time.sleep(1)"
    install.watched("installing", [sys.executable, "-c", said])
    shown = [line for line in capsys.readouterr().out.splitlines() if "package, package" in line]
    assert shown
    assert all(len(line) == 100 and line.endswith("...") for line in shown)


def test_what_pip_says_of_a_failure_is_shown_and_make_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "REQUIREMENTS", tmp_path)
    (tmp_path / "none.txt").write_text(f"tvmerge-needs-no-such-package==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert install.main(["tools", "none"]) == 1
    printed = capfd.readouterr()
    assert "installing none: failed" in printed.out
    assert "No matching distribution found for tvmerge-needs-no-such-package" in printed.err


def test_a_file_with_another_hash_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "REQUIREMENTS", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "installed"))
    wheel = write_wheel(tmp_path, "tvmerge_sample")
    for digest, code in (("0" * 64, 1), (hashlib.sha256(wheel.read_bytes()).hexdigest(), 0)):
        (tmp_path / "one.txt").write_text(f"tvmerge-sample==1.0 --hash=sha256:{digest}\n")
        assert install.main(["tools", "one"]) == code
        assert (tmp_path / "installed" / "tvmerge_sample.py").exists() is (code == 0)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("installed", "source", "from_cpu_index", "usual_torch"),
    [
        (None, ["--index-url", "x"], True, False),
        ("2.6.0", [], True, False),
        (None, None, False, True),
        (install.pinned_torch(), None, False, False),
    ],
    ids=["CPU", "another release", "no build for CPUs", "complete"],
)
def test_all_but_torch_for_cpus_and_tvmerge_is_installed_by_hash(
    monkeypatch: pytest.MonkeyPatch,
    installed: str | None,
    source: list[str] | None,
    from_cpu_index: bool,
    usual_torch: bool,
) -> None:
    commands: list[Sequence[str]] = []

    def watched(what: str, argv: Sequence[str]) -> tuple[int, list[str]]:
        commands.append(argv[argv.index("install") + 1 :])
        return 0, []

    monkeypatch.setattr(install, "watched", watched)
    monkeypatch.setattr(install, "installed_torch", lambda: installed)
    monkeypatch.setattr(install, "wants_cpu_build", lambda: True)
    monkeypatch.setattr(install, "cpu_source", lambda pip, release: source)
    assert install.main(["tvmerge", "dev"]) == 0
    *listed, itself = commands
    assert itself[-2:] == ["--editable", str(SCRIPT.parents[1])]
    assert "--no-deps" in itself
    assert [f"torch=={install.pinned_torch()}+cpu" in argv for argv in listed] == (
        [True, False, False] if from_cpu_index else [False, False]
    )
    build, packages = listed[-2:]
    assert "--require-hashes" in build
    assert "--require-hashes" in packages
    files = [Path(argument).stem for argument in packages if argument.endswith(".txt")]
    assert files == [*(["torch"] if usual_torch else []), "tvmerge", "dev"]


def write_wheel(folder: Path, name: str) -> Path:
    """Write a wheel of one module, version 1.0."""
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_what_it_cannot_do_is_said() -> None:
    done = run_script("everything")
    assert done.returncode == 2
    assert "tools/install.py venv FOLDER" in done.stderr
