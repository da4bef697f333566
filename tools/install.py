"""Installs tvmerge for `make`, and shows that it goes on.

    python tools/install.py venv FOLDER         make a virtual environment
    python tools/install.py packages ARGUMENT.. pip install, into the environment of the Python that runs this

On Linux without a GPU, the build of torch for CPUs is taken, which is much smaller than the other, if the
configured package index or PyTorch's own has it. Otherwise pip takes what it finds. Needs only the standard
library.
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
from itertools import pairwise
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own package index of builds for CPUs."""

OLDEST = (2, 6)
"""The oldest torch that tvmerge works with."""

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What there is on Linux if a driver for NVIDIA's or AMD's GPUs is loaded, or Windows lends one."""

_EVERY = 0.5  # seconds between two updates on a terminal
_SELDOM = 10.0  # seconds between two lines elsewhere
_TAIL = 40  # lines of a command that failed


def main(argv: Sequence[str]) -> int:
    """Run a step and return its exit code."""
    match list(argv):
        case ["venv", folder]:
            return _told(*watched(f"making {folder}", [sys.executable, "-m", "venv", folder]))
        case ["packages", *arguments] if arguments:
            return install(arguments)
    print(__doc__, file=sys.stderr)
    return 2


def install(arguments: Sequence[str]) -> int:
    """Install with pip, torch for CPUs first where it is the one to take."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    tests = ", its tests too," if any("[dev]" in argument for argument in arguments) else ""
    print(f"installs tvmerge and what it needs{tests} into {os.path.relpath(sys.prefix)}", flush=True)
    cpu = None
    if not has_torch():
        cpu = cpu_build(pip, pinned_torch(arguments)) if wants_cpu_build() else None
        print(_size(cpu is not None), flush=True)
    if cpu is not None:
        version, source = cpu
        # Without its dependencies: they come from the configured index, as everything else.
        argv = [*pip, "install", "--no-deps", *source, f"torch=={version}"]
        code, _ = watched(f"installing torch {version}", argv)
        if code:
            print("torch for CPUs could not be installed; pip takes the usual build", flush=True)
    return _told(*watched("installing", [*pip, "install", *arguments]))


def has_torch() -> bool:
    """Return whether this environment has torch already."""
    try:
        return bool(importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return False


def wants_cpu_build() -> bool:
    """Return whether pip would take a build for GPUs although there is none; only on Linux it does."""
    return platform.system() == "Linux" and not any(Path(driver).exists() for driver in DRIVERS)


def pinned_torch(arguments: Sequence[str]) -> str | None:
    """Return the release of torch that the constraints among pip's arguments ask for; None if they do not.

    Pip would replace any other, by the usual build.
    """
    files = [file for flag, file in pairwise(arguments) if flag == "--constraint"]
    pins = [re.search(r"^torch==([\d.]+)\s*$", Path(file).read_text("utf-8"), re.MULTILINE) for file in files]
    return next((pin[1] for pin in pins if pin is not None), None)


def cpu_build(pip: Sequence[str], release: str | None = None) -> tuple[str, list[str]] | None:
    """Return a build of torch for CPUs and how to tell pip where it is; None if there is none.

    Args:
        pip: The command.
        release: The release to look for; None for the newest.
    """
    sources: tuple[list[str], ...] = ([], ["--index-url", CPU_INDEX])
    for source in sources:
        argv = [*pip, "--retries", "0", "--timeout", "5", "index", "versions", "torch", *source]
        _, said = watched("looking for torch for CPUs", argv)
        if version := newest_cpu_build("\n".join(said), release):
            return version, source
    return None


def newest_cpu_build(listed: str, release: str | None = None) -> str | None:
    """Return the newest suitable build for CPUs among the versions that pip lists; None if there is none.

    Args:
        listed: What pip said.
        release: The only release that is suitable; None for all that tvmerge works with.
    """
    found = re.findall(r"(?<![\w.])((\d+)\.(\d+)[.\d]*\+cpu)(?![\w.])", listed)
    suitable = [
        version
        for version, *numbers in found
        if tuple(map(int, numbers)) >= OLDEST and release in {None, version.removesuffix("+cpu")}
    ]
    return max(suitable, key=lambda v: [int(n) for n in re.findall(r"\d+", v)], default=None)


def watched(what: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command and show what it last said and for how long it has run.

    Args:
        what: What the command does.
        argv: The command.

    Returns:
        Its exit code and the lines of its output.
    """
    start, said = time.monotonic(), list[str]()
    with subprocess.Popen(
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
            print(text, flush=True)

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
