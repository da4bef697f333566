"""What the judge's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.openai_server import OpenAIServer
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.judging.prompts.prompts import JudgePrompt, load_prompts


@pytest.fixture(scope="session")
def prompts() -> dict[str, JudgePrompt]:
    """The shipped judge prompts."""
    return load_prompts(bundled_root() / "prompts" / "judge_prompts.jsonl")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """An OpenAI server that rates everything."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    """An empty cache."""
    opened = ContentCache(tmp_path / "cache")
    yield opened
    opened.close()
