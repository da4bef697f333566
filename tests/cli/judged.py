"""A small benchmark and the flags of a run on it, for tests of what judges are asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def make_bench(folder: Path, questions: int = 6) -> Path:
    """One-turn sums."""
    rows = [
        {"question_id": i, "category": "writing", "turns": [f"{i}たす2は？"], "reference": [str(i + 2)]}
        for i in range(1, questions + 1)
    ]
    write_lines(folder / "question.jsonl", rows)
    return folder


def run_flags(bench: Path, models: Path, folder: Path, url: str, *more: str) -> list[str]:
    """`tvmerge optimize` with a judge at `url`."""
    return [
        *("optimize", f"--bench-name={bench}", f"--judge-base-url={url}"),
        *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        *("--max-new-tokens=8", f"--run-dir={folder}", "--study-name=s", *more),
    ]
