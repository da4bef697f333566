"""Processes that tests kill: forked from one that has imported what a run imports.

The server of forks belongs to the whole test process. The first test that forks starts it, so all of them
name the same imports.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any


def forked(target: Callable[..., object], *args: Any, **kwargs: Any) -> BaseProcess:
    """Start `target` in a process that ends with this one at the latest, and has its imports ready."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.run_imports"])
    process = context.Process(target=target, args=args, kwargs=kwargs, daemon=True)
    process.start()
    return process
