"""A run at each provider with a batch endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.judging.batch.asking import SERVERS, Asking


@pytest.fixture(params=sorted(SERVERS))
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asking]:
    """Asks its own server."""
    with SERVERS[request.param]() as server:
        server.polls = 0
        yield Asking(tmp_path, server, request.param)


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[Asking]:
    """Asks its own server that speaks OpenAI's protocol."""
    with SERVERS["openai"]() as server:
        server.polls = 0
        yield Asking(tmp_path, server, "openai")
