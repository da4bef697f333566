"""A `tvmerge` process that kills itself at a chosen step of its batches."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.forking import forked
from tvmerge.cli.app import run

LIMIT = 120.0


def start(argv: Sequence[str], log: Path, env: Mapping[str, str], step: str, number: int) -> BaseProcess:
    """Start `tvmerge` with `argv`; it is killed as it begins to take a step for the so-manieth time.

    Args:
        argv: The arguments.
        log: Where its output goes.
        env: More environment.
        step: `module:Class.method`, or an empty text to be left alone.
        number: Which time, from 1.
    """
    return forked(_play, list(argv), log, dict(env), step, number)


def code_of(process: BaseProcess) -> int | None:
    """How a process ended: its exit code, or the signal that killed it, negated."""
    process.join(LIMIT)
    if process.exitcode is None:
        process.kill()
    return process.exitcode


def _play(argv: list[str], log: Path, env: dict[str, str], step: str, number: int) -> None:
    os.environ.update(env)
    with log.open("a", encoding="utf-8") as out, contextlib.redirect_stdout(out):
        with contextlib.redirect_stderr(out), _killed_at(step, number) if step else contextlib.nullcontext():
            code = run(argv)
        out.flush()
    os._exit(code)


def _killed_at(step: str, number: int) -> contextlib.AbstractContextManager[Any]:
    module, _, path = step.partition(":")
    owner, _, method = path.partition(".")
    cls = getattr(import_module(module), owner)
    whole: Callable[..., Any] = getattr(cls, method)
    left = number

    def taken(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*args, **kwargs)

    return patch.object(cls, method, taken)
