"""Entries that open no engine; imports nothing heavy, so that a process with one starts at once."""

from __future__ import annotations

import os
from typing import Any

from tvmerge.errors import AssetError, CheckpointError


def refused() -> Any:
    """Bad input."""
    raise CheckpointError("there is no such model")


def broken() -> Any:
    """A device that fails, in a library that prints."""
    os.write(1, b"a library's chatter\n")
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def tell() -> Any:
    """Says what the environment says."""
    raise AssetError(os.environ["TVMERGE_TEST_DEVICE"])
