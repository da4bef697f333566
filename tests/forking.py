"""Processes that tests kill: forked from one that has imported what a run imports.

The server of forks belongs to the whole test process. The first test that forks starts it, so all of them
name the same imports.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any


def forked(target: Callable[..., object], *args: Any, **kwargs: Any) -> BaseProcess:
    """Start `target` in a process that ends with this one at the latest, and has its imports ready."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.run_imports"])
    # The server has the environment of the first test that forks.
    begun = (dict(os.environ), target, args, kwargs)
    process = context.Process(target=_begin, args=begun, daemon=True)
    process.start()
    return process


def _begin(
    environment: Mapping[str, str],
    target: Callable[..., object],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*args, **kwargs)
