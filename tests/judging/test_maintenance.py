"""Looking after the cache of judgments."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer
from tvmerge.cache import ContentCache
from tvmerge.errors import UserError
from tvmerge.judging.maintenance import cache_stats, explain_key, export_judgments, faulty_keys
from tvmerge.judging.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.records import Answer, Question

QUESTION = Question("q", "writing", ("空の色は？",))


@pytest.fixture
async def filled(server: OpenAIServer, prompts: dict[str, JudgePrompt], cache: ContentCache) -> ContentCache:
    """A cache with three judgments and one row of another kind."""
    judge = create_judge(a_spec(server.base_url), prompts, [QUESTION], cache=cache, env={"TEST_KEY": KEY})
    for number in range(3):
        await judge.judge(QUESTION, Answer("q", (f"{number}番目の青です。",)))
    await judge.close()
    cache.put("f" * 64, {"kind": "answer"})
    return cache


async def test_statistics_count_judgments_by_model(filled: ContentCache) -> None:
    stats = cache_stats(filled)
    assert stats.judgments == {"openai/gpt-4o": 3}
    assert (stats.other, stats.input_tokens, stats.output_tokens) == (1, 300, 60)


async def test_a_key_is_explained_by_its_beginning(filled: ContentCache) -> None:
    key = next(key for key in filled if not key.startswith("fff"))
    explained = explain_key(filled, key[:12])
    assert explained["key"] == key
    assert explained["request"]["body"]["model"] == "gpt-4o"
    assert "Rating" in explained["reply"]["text"]


@pytest.mark.parametrize(
    ("key", "message"), [("", "4 keys"), ("nothing", "no judgment"), ("fff", "no judgment")]
)
async def test_a_key_that_is_not_one_is_an_error(filled: ContentCache, key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        explain_key(filled, key)


async def test_a_sound_cache_has_no_faulty_keys(filled: ContentCache) -> None:
    assert faulty_keys(filled) == []


async def test_damaged_and_forged_rows_are_found(filled: ContentCache, tmp_path: Path) -> None:
    damaged, forged = sorted(key for key in filled if not key.startswith("fff"))[:2]
    filled.put(forged, filled.get(damaged))
    database = sqlite3.connect(tmp_path / "cache" / "cache.db")
    database.execute("UPDATE Cache SET value = replace(value, 'Rating', 'Ruling') WHERE key = ?", (damaged,))
    database.commit()
    database.close()
    assert sorted(faulty_keys(filled)) == [damaged, forged]


async def test_judgments_are_exported_without_the_api_key(filled: ContentCache, tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    assert export_judgments(filled, path) == 3
    text = path.read_text(encoding="utf-8")
    assert [json.loads(line)["kind"] for line in text.splitlines()] == ["judgment"] * 3
    assert KEY not in text
