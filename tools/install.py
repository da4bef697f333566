"""Installs tvmerge for `make`, and shows that it goes on.

    python tools/install.py venv FOLDER    make a virtual environment
    python tools/install.py tvmerge NAME.. install tvmerge and what the files NAME in requirements/ list
    python tools/install.py tools NAME..   install only what these files list

Both install into the environment of the Python that runs this, and only files whose hashes are listed. With
one exception: on Linux without a GPU, torch is the build for CPUs, which is much smaller than the usual one,
if the configured package index or PyTorch's own has it. Needs only the standard library.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own package index of builds for CPUs."""

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What there is on Linux if a driver for NVIDIA's or AMD's GPUs is loaded, or Windows lends one."""

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
"""What is installed: `python tools/lock.py` writes the files."""

_ROOT = REQUIREMENTS.parent
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
_EVERY = 0.5  # seconds between two updates on a terminal
_SELDOM = 10.0  # seconds between two lines elsewhere
_LONGEST = 100  # characters of a line elsewhere: pip names a hundred packages in one
_TAIL = 40  # lines of a command that failed


def main(argv: Sequence[str]) -> int:
    """Run a step and return its exit code."""
    match list(argv):
        case ["venv", folder]:
            return _told(*watched(f"making {folder}", [sys.executable, "-m", "venv", folder]))
        case ["tvmerge", *names]:
            return install(names)
        case ["tools", *names] if names:
            return _told(*watched(f"installing {' '.join(names)}", [*_PIP, "install", *listed(*names)]))
    print(__doc__, file=sys.stderr)
    return 2


def install(names: Sequence[str]) -> int:
    """Install torch for CPUs where it is the one to take, then what is listed, then tvmerge."""
    tests = ", its tests too," if "dev" in names else ""
    print(f"installs tvmerge and what it needs{tests} into {os.path.relpath(sys.prefix)}", flush=True)
    files = ["tvmerge", *names]
    release = pinned_torch()
    if installed_torch() != release:
        source = cpu_source(_PIP, release) if wants_cpu_build() else None
        print(_size(source is not None), flush=True)
        if source is None or not _install_cpu_build(release, source):
            files.insert(0, "torch")
    # Nothing is built with packages that pip picks: `build` has them all.
    steps = (
        ("installing what builds", listed("build")),
        ("installing", ["--no-build-isolation", *listed(*files)]),
        ("installing tvmerge", ["--no-build-isolation", "--no-deps", "--editable", str(_ROOT)]),
    )
    return next(
        (code for what, argv in steps if (code := _told(*watched(what, [*_PIP, "install", *argv])))), 0
    )


def listed(*names: str) -> list[str]:
    """Return pip's arguments for what files in requirements/ list."""
    files = (str(REQUIREMENTS / f"{name}.txt") for name in names)
    # Without a search for dependencies: the files list them all.
    return [
        "--require-hashes",
        "--no-deps",
        *(argument for file in files for argument in ("--requirement", file)),
    ]


def installed_torch() -> str | None:
    """Return the release of the torch in this environment, whatever its build; None if there is none."""
    try:
        return importlib.metadata.version("torch").partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def pinned_torch() -> str:
    """Return the release of torch that is listed."""
    text = (REQUIREMENTS / "torch.txt").read_text("utf-8")
    return next(
        line.split()[0].removeprefix("torch==") for line in text.splitlines() if line.startswith("torch==")
    )


def _install_cpu_build(release: str, source: Sequence[str]) -> bool:
    """Return whether torch for CPUs could be installed; what it needs is listed."""
    argv = [*_PIP, "install", "--no-deps", *source, f"torch=={release}+cpu"]
    code, _ = watched(f"installing torch {release} for CPUs", argv)
    if code:
        print("torch for CPUs could not be installed; pip takes the usual build", flush=True)
    return code == 0


def wants_cpu_build() -> bool:
    """Return whether pip would take a build for GPUs although there is none; only on Linux it does."""
    return platform.system() == "Linux" and not any(Path(driver).exists() for driver in DRIVERS)


def cpu_source(pip: Sequence[str], release: str) -> list[str] | None:
    """Return how to tell pip where torch for CPUs is; None if there is none.

    Args:
        pip: The command.
        release: The release to look for.
    """
    sources: tuple[list[str], ...] = ([], ["--index-url", CPU_INDEX])
    for source in sources:
        argv = [*pip, "--retries", "0", "--timeout", "5", "index", "versions", "torch", *source]
        _, said = watched("looking for torch for CPUs", argv)
        if re.search(rf"(?<![\w.]){re.escape(release)}\+cpu(?![\w.])", "\n".join(said)):
            return source
    return None


def watched(what: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command and show what it last said and for how long it has run.

    Args:
        what: What the command does.
        argv: The command.

    Returns:
        Its exit code and the lines of its output.
    """
    start, said = time.monotonic(), list[str]()
    with subprocess.Popen(  # nosec B603  # its callers' own commands, and no shell
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        reader = threading.Thread(target=_read, args=(process, said), daemon=True)
        reader.start()
        shown = _Line()
        while reader.is_alive():
            reader.join(_EVERY)
            shown.show(what, said[-1] if said else "", time.monotonic() - start)
        code = process.wait()
    shown.end(f"{what}: {'done' if code == 0 else 'failed'}, {time.monotonic() - start:.0f} s")
    return code, said


class _Line:
    """A line that is replaced on a terminal, and printed now and then elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._printed_at = 0.0

    def show(self, what: str, said: str, seconds: float) -> None:
        text = f"{what}, {seconds:.0f} s: {said}"
        if self._live:
            columns = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r{text[:columns]:<{columns}}")
            sys.stdout.flush()
        elif seconds - self._printed_at >= _SELDOM:
            self._printed_at = seconds
            print(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...", flush=True)

    def end(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:columns]:<{columns}}" if self._live else text, flush=True)


def _read(process: subprocess.Popen[str], said: list[str]) -> None:
    assert process.stdout is not None
    while line := process.stdout.readline():
        if text := re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", line).strip():
            said.append(text)


def _told(code: int, said: Sequence[str]) -> int:
    """Return the exit code of a command; if it failed, show the end of its output."""
    if code:
        print("".join(f"{line}\n" for line in said[-_TAIL:]), end="", file=sys.stderr)
    return code


def _size(cpu: bool) -> str:
    if cpu:
        return "with torch for CPUs: about 0.3 GB to download, 1.4 GB on disk; this takes minutes"
    return "with the usual torch: on Linux about 3 GB to download, 7 GB on disk; this takes minutes"


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
    sys.exit(130)
