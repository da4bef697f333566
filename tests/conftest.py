"""Fixtures shared by the suite: a cache of its own, and the demo's real models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tvmerge._util.assets import bundled_demo_models

# A slow machine is no failure of an example.
settings.register_profile("tvmerge", deadline=None)
settings.load_profile("tvmerge")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small operations split over threads wait for each other when another process holds a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def demo_models() -> Path:
    """Folder with the demo checkpoints `base`, `tuned` and `target`."""
    return bundled_demo_models()
