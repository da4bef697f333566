"""Fixtures shared by the suite: its own cache, no waiting for disks or tables, and the demo's real models."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, Pool, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from tvmerge._util.assets import bundled_demo_models

# The contract suites are tests outside of the tests.
pytest.register_assert_rewrite("tvmerge.testing")

# A slow machine is no failure of an example, nor of drawing it. CI draws the same examples each time.
settings.register_profile(
    "tvmerge",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("tvmerge")


_NUMBERS = count()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    # `mktemp` would look through the folders of all tests before for the next number.
    folder = tmp_path_factory.getbasetemp() / "caches" / str(next(_NUMBERS))
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(folder))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Tests kill processes, never the machine: what was written is read back without a sync."""

    def unsynced(connection: DBAPIConnection, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        event.listen(Engine, "connect", unsynced)
        yield
        event.remove(Engine, "connect", unsynced)


@pytest.fixture(scope="session", autouse=True)
def _tables_planned_once() -> Iterator[None]:
    """Optuna's files on the history of its tables are read once, not three times for each new study."""
    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def kept(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in known:
            known[folder] = read(config)
        return known[folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", kept)
        yield


@pytest.fixture
def connections() -> Iterator[set[object]]:
    """The connections to databases that were opened in the test and are not closed."""
    found: set[object] = set()

    def opened(connection: object, record: object) -> None:
        found.add(connection)

    def closed(connection: object, record: object) -> None:
        found.discard(connection)

    event.listen(Pool, "connect", opened)
    event.listen(Pool, "close", closed)
    yield found
    event.remove(Pool, "connect", opened)
    event.remove(Pool, "close", closed)


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
