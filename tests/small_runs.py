"""Settings of small runs by whole trials on the demo's models, and few questions to ask them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tvmerge._util.assets import find


def few_questions(folder: Path, count: int = 12) -> Path:
    """Write a benchmark below a folder: the demo's, with its name, but the first questions alone."""
    bench = Path(shutil.copytree(find("benchmarks", "demo"), folder / "demo"))
    questions = bench / "question.jsonl"
    lines = questions.read_text(encoding="utf-8").splitlines(keepends=True)
    questions.write_text("".join(lines[:count]), encoding="utf-8")
    return bench


def small_run(models: Path, bench: Path, judge: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Return the settings of a study on the CPU that starts with the weights 0 and 1.

    Args:
        models: The folder of the demo's models.
        bench: The benchmark.
        judge: The judge.
        folder: The run folder is made in it.
        more: Further settings.
    """
    return {
        "target_model": (str(models / "target"),),
        "base_model": str(models / "base"),
        "tuned_model": str(models / "tuned"),
        "bench_name": (str(bench),),
        "judge": (judge,),
        "study_name": "s",
        "run_dir": str(folder / "run"),
        "optuna_sampler": "TPE",
        "racing": "off",
        "uniform_weights": (0.0, 1.0),
        "device": "cpu",
    } | more
