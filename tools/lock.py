"""Writes the files in requirements/: what `make` installs, for every platform, with the hashes of its files.

    python tools/lock.py

Versions are those in constraints.txt, and the newest of what only other platforms and the tools need. Needs
uv, which `make lock` installs, and the package index.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"

BUILD = "editables\nhatchling\nsetuptools\nwheel\n"
"""What source archives, and tvmerge itself, are built with."""

_USUAL_TORCH = re.compile(r"(torch|triton|(nvidia|cuda)-[\w-]+)==")
"""The usual build of torch, and what only this build needs."""

_ENTRY = re.compile(r"^[\w.-]+==.*(?:\n +--hash=.*)*", re.MULTILINE)


def main() -> int:
    """Write the files and return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    pins = ["--constraint", "constraints.txt"]
    core = locked("pyproject.toml", *pins)
    write("torch", (entry for entry in core if _USUAL_TORCH.match(entry)))
    write("tvmerge", (entry for entry in core if not _USUAL_TORCH.match(entry)))
    for extra, python in (("dev", "3.11"), ("docs", "3.11.5")):
        entries = locked("pyproject.toml", "--extra", extra, *pins, python=python)
        # The tests need Triton whatever the build of torch.
        known = [entry for entry in core if not (extra == "dev" and entry.startswith("triton=="))]
        write(extra, (entry for entry in entries if entry not in known))
    for name in ("tvmerge", "dev"):
        pins += ["--constraint", f"requirements/{name}.txt"]
    write("build", locked("-", *pins, stdin=BUILD))
    for group in ("fuzz", "quality"):  # installed beside the others
        write(group, locked("--group", group, *pins))
    write("audit", locked("--group", "audit"))
    return 0


def locked(*arguments: str, python: str = "3.11", stdin: str = "") -> list[str]:
    """Return what requirements resolve to: the lines of each package, with its version, marker and hashes.

    Args:
        arguments: What uv resolves, and within which constraints.
        python: The oldest Python.
        stdin: The requirements, if they are in no file.

    Raises:
        SystemExit: uv found no solution; it has said why.
    """
    options = ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--no-config"]
    argv = [sys.executable, "-m", "uv", "pip", "compile", *arguments, *options, "--python-version", python]
    done = subprocess.run(  # nosec B603  # our own arguments, and no shell
        argv, input=stdin, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return _ENTRY.findall(done.stdout)


def write(name: str, entries: Iterable[str]) -> None:
    """Write a file of requirements."""
    text = "".join(f"{entry}\n" for entry in ("# Written by tools/lock.py (`make lock`).", *entries))
    (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
