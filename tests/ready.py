"""Processes that are forked with the imports of a run, and what they print."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ParamSpec

from tests.forking import forked

P = ParamSpec("P")

_LONGEST = 600.0
"""Seconds that a process may take."""


@dataclass(frozen=True)
class Done:
    """What became of a process."""

    returncode: int | None
    stdout: str
    stderr: str


def start(logs: Path, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> BaseProcess:
    """Start a process that calls a function; what it prints goes into files in the folder `logs`."""
    return forked(_play, logs, function, args, kwargs)


def ended(process: BaseProcess, logs: Path) -> Done:
    """Wait for a process to end; one that does not is ended."""
    process.join(_LONGEST)
    if process.is_alive():
        process.kill()
        process.join()
    out, err = ((logs / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return Done(process.exitcode, out, err)


def call(logs: Path, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Done:
    """Call a function in a process of its own."""
    return ended(start(logs, function, *args, **kwargs), logs)


def run_module(
    name: str, argv: Sequence[str], *, cwd: Path, path: Sequence[Path], env: Mapping[str, str]
) -> None:
    """Do what `python -m` does with a package.

    Args:
        name: The package.
        argv: Its arguments.
        cwd: The working directory.
        path: What `PYTHONPATH` lists.
        env: The environment.
    """
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = [str(cwd), *map(str, path)]
    sys.argv = ["", *argv]
    # It may be that of another folder.
    for known in [known for known in sys.modules if known.partition(".")[0] == name]:
        del sys.modules[known]
    importlib.invalidate_caches()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _play(
    logs: Path, function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    import torch

    torch.set_num_threads(1)
    function(*args, **kwargs)
