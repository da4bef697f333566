"""A machine that has no more memory, threads or descriptors is no bug of tvmerge."""

from __future__ import annotations

import errno
import resource
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click
import pytest
import torch

from tvmerge.cli import app
from tvmerge.cli.exhausted import exhausted


def out_of_memory() -> None:
    bytearray(1 << 60)


def out_of_memory_of_torch() -> None:
    torch.empty(1 << 58, dtype=torch.uint8)


def out_of_threads() -> None:
    before = threading.stack_size(1 << 46)  # more than there is
    try:
        threading.Thread(target=print).start()
    finally:
        threading.stack_size(before)


def out_of_files() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        with ExitStack() as opened:
            for _ in range(100):
                opened.enter_context(Path("/dev/null").open(encoding="ascii"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (out_of_memory, "has no memory left"),
        (out_of_memory_of_torch, "has no memory left"),
        (out_of_threads, "starts no more threads"),
        (out_of_files, "too many files are open"),
    ],
)
def test_what_ran_out_and_what_helps_is_one_line(
    work: Callable[[], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(app, "app", click.command("work")(work))
    assert app.run([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith("then run the same command again")


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (ImportError("libtorch.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("No module named x"), False),
        (RuntimeError("shapes do not fit"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_other_errors_are_not_taken_for_it(error: Exception, known: bool) -> None:
    assert (exhausted(error) is not None) is known
