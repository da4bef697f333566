"""The process of a run that is to be broken off; forked ready, since it imports what a run imports."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import huggingface_hub
import torch

import tests.run_imports
from perf.crash.stages import tell_stages
from tvmerge.__main__ import exit_code

__all__ = ["tests"]


def run_watched(
    argv: Sequence[str],
    folder: Path,
    log_file: Path,
    told: Connection,
    prepare: Callable[[], object] | None = None,
) -> None:
    """Run the command line, and send the stages that it is in.

    Args:
        argv: The command.
        folder: Gets the cache and temporary files.
        log_file: Gets what the command prints.
        told: Gets the stages.
        prepare: Called before the command, for what it shall suffer.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a campaign in the background ignores it
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ |= surroundings(folder)
    tempfile.tempdir = None  # as of the folder's file system, not of the campaign's
    torch.set_num_threads(1)
    sys.argv = ["tvmerge", *argv]
    tell_stages(told.send_bytes)
    with (
        log_file.open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
        patch.object(huggingface_hub, "HfApi", NoHub),
    ):
        if prepare is not None:
            prepare()
        code = exit_code()
        log.flush()
    os._exit(code)  # as the command does: without taking apart what is loaded


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a run whose results are in `folder`."""
    return {
        "TVMERGE_CACHE_DIR": str(folder / "cache"),
        "OPENAI_API_KEY": "k",
        "HF_TOKEN": "t",
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
    }


class NoHub:
    """A hub that takes its time and keeps nothing."""

    def __init__(self, **_: Any) -> None:
        pass

    def whoami(self) -> dict[str, str]:
        """Name the owner of all repositories."""
        return {"name": "owner"}

    def create_repo(self, repo: str, **_: Any) -> str:
        """Name the repository."""
        return f"https://hub.invalid/{repo}"

    def upload_folder(self, **_: Any) -> None:
        """Take a fifth of a second."""
        time.sleep(0.2)
