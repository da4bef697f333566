"""Looking after the cache of judgments: what it holds, whether it is sound, and taking it elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge.cache import ContentCache
from tvmerge.canonical import digest
from tvmerge.errors import UserError
from tvmerge.files import write_jsonl


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache of judgments holds.

    Attributes:
        judgments: Rows that are judgments, by `provider/model`.
        other: Rows that are not.
        input_tokens: Tokens sent for all judgments that are kept.
        output_tokens: Tokens replied.
    """

    judgments: Mapping[str, int]
    other: int
    input_tokens: int
    output_tokens: int


def cache_stats(cache: ContentCache) -> CacheStats:
    """Count what is in the cache."""
    models: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    other = 0
    for key in cache:
        row = _judgment(cache.get(key))
        if row is None:
            other += 1
            continue
        models[f"{row['request']['provider']}/{row['request']['body'].get('model', '')}"] += 1
        tokens.update(row["reply"]["usage"] or {})
    return CacheStats(dict(sorted(models.items())), other, tokens["input"], tokens["output"])


def explain_key(cache: ContentCache, key: str) -> Mapping[str, Any]:
    """What a key is made of and what is stored under it; the beginning of a key is enough.

    Raises:
        UserError: No judgment's key begins so, or several do.
    """
    found = [known for known in cache if known.startswith(key)]
    if len(found) > 1:
        raise UserError(f"{len(found)} keys of the cache begin with '{key}'; give more of it")
    row = _judgment(cache.get(found[0])) if found else None
    if row is None:
        raise UserError(f"the cache holds no judgment under '{key}'")
    return {"key": found[0], **row}


def faulty_keys(cache: ContentCache) -> list[str]:
    """Keys whose row is damaged, or whose parts do not give the key they are stored under."""
    return [key for key in cache if not _is_sound(key, cache.get(key))]


def export_judgments(cache: ContentCache, path: Path) -> int:
    """Write all judgments as JSON lines, in order of their keys.

    Returns:
        How many there are.
    """
    rows = list(_rows(cache))
    write_jsonl(path, rows)
    return len(rows)


def _rows(cache: ContentCache) -> Iterator[Mapping[str, Any]]:
    for key in sorted(cache):
        row = _judgment(cache.get(key))
        if row is not None:
            yield {"key": key, **row}


def _judgment(row: Any) -> dict[str, Any] | None:
    match row:
        case {"kind": "judgment", "request": {"provider": _, "body": {}}, "reply": {"usage": _}}:
            judgment: dict[str, Any] = row
            return judgment
    return None


def _is_sound(key: str, row: Any) -> bool:
    if row is None:
        return False
    judgment = _judgment(row)
    return judgment is None or digest(judgment["request"]) == key
