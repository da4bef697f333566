"""Counts what a fuzzer tries and keeps one input of each kind of failure."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path


class Campaign:
    """Checks inputs until the time is over.

    Args:
        check: Raises for an input that is treated wrongly.
        seconds: The time.
        folder: Where inputs are written that failed.
    """

    def __init__(self, check: Callable[[bytes], None], seconds: float, folder: Path) -> None:
        self._check = check
        self._seconds = seconds
        self._folder = folder
        self._begun = time.monotonic()
        self.executions = 0
        self.findings: dict[str, Path] = {}

    def run(self, data: bytes) -> None:
        """Check one input; print the result and end the process when the time is over."""
        if time.monotonic() - self._begun > self._seconds:
            print(self.summary(), flush=True)
            sys.stderr.flush()
            os._exit(1 if self.findings else 0)  # libFuzzer would take an exception for a crash
        self.execute(data)

    def execute(self, data: bytes) -> None:
        """Check one input and keep it if it is the first to fail in its way."""
        self.executions += 1
        try:
            self._check(data)
        except Exception as error:  # noqa: BLE001  any error is a finding
            kind = _kind(error)
            if kind not in self.findings:
                path = self._folder / hashlib.sha256(data).hexdigest()[:16]
                path.write_bytes(data)
                self.findings[kind] = path
                print(f"finding: {kind}: {path}", flush=True)

    def summary(self) -> str:
        """Return how many inputs were checked, and what failed."""
        seconds = time.monotonic() - self._begun
        lines = [f"{self.executions:,} inputs in {seconds:.0f} s, {len(self.findings)} findings"]
        return "\n".join([*lines, *(f"  {kind}: {path}" for kind, path in self.findings.items())])


def _kind(error: Exception) -> str:
    """Return the type of an error and the line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
