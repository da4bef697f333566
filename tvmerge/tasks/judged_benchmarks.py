"""Loads benchmarks with the judges' references and the selected number of turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.assets import find
from tvmerge.errors import ConfigError
from tvmerge.tasks.fastchat.benchmark import Benchmark, load_benchmark

if TYPE_CHECKING:
    from tvmerge.judging.settings import JudgeConfig


def judged_benchmarks(
    config: JudgeConfig, seen_by: str, assets: Path | None, note: Callable[[str], None]
) -> list[Benchmark]:
    """Load the benchmarks as the judges see them.

    Args:
        config: The settings of benchmarks.
        seen_by: The judge whose references are used; the first one of a panel, which shares one set.
        assets: Folder with the user's own benchmarks.
        note: Shows the user a note.

    Raises:
        ConfigError: References were named, but no benchmark has any.
    """
    found = [
        _benchmark(find("benchmarks", name, assets), config, seen_by, note) for name, _ in config.benchmarks
    ]
    if config.reference is not None and not any(benchmark.references for benchmark in found):
        raise ConfigError(f"--reference {config.reference}: no benchmark has a folder reference_answer")
    return found


def _benchmark(folder: Path, config: JudgeConfig, seen_by: str, note: Callable[[str], None]) -> Benchmark:
    """Load a benchmark as the judges see it, and note missing references."""
    benchmark = load_benchmark(folder).for_judge(seen_by, config.reference)
    if benchmark.without_reference:
        note(missing_references_note(benchmark))
    return benchmark if config.turns is None else benchmark.first_turns(config.turns)


def missing_references_note(benchmark: Benchmark) -> str:
    """Return a note that questions of a reference category have no reference, and how to fix it."""
    lacking = set(benchmark.without_reference)
    categories = dict.fromkeys(q.category for q in benchmark.questions if q.question_id in lacking)
    ids = ", ".join(map(str, benchmark.without_reference[:5]))
    several = (
        f"; its reference_answer/ has {', '.join(benchmark.references)}: choose one with --reference"
        if len(benchmark.references) > 1
        else ""
    )
    return (
        f"{benchmark.name}: judged without a reference, although their categories "
        f"({', '.join(categories)}) "
        f"want one: {len(lacking)} questions ({ids}){several}"
    )
