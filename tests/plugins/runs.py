"""A command line for each new thing, and what only that thing can have done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.cli.judged import make_bench, read_lines, write_lines
from tvmerge._util.assets import bundled_demo_models

CONFIG = """
bench_name = ["bench"]
judge = ["rules"]
engine = "transformers"
n_trials = 1
max_new_tokens = 8
holdout = 0.0
study_name = "s"
"""

TASKS_ONLY = """
engine = "transformers"
n_trials = 1
max_new_tokens = 8
holdout = 0.0
study_name = "s"

[[task_kinds]]
kind = "acme"
count = 4
"""


@dataclass(frozen=True)
class Run:
    """A command of `tvmerge` in a folder that `prepare` filled, and a check of what it left there."""

    argv: tuple[str, ...]
    check: Callable[[Path], None]


def prepare(folder: Path) -> None:
    """Write what the commands read: a benchmark, answers to it, config files, weights."""
    make_bench(folder / "bench", questions=4)
    answers = [
        {"question_id": n, "choices": [{"index": 0, "turns": [f"{n + 2}です。"]}]} for n in range(1, 5)
    ]
    write_lines(folder / "m.jsonl", answers)
    (folder / "run.toml").write_text(CONFIG)
    (folder / "tasks.toml").write_text(TASKS_ONLY)
    (folder / "engine.toml").write_text(
        CONFIG.replace('"transformers"', '"acme"') + '[engine_options]\nthanks = "どうも"\n'
    )
    drawn = 'n_trials = 3\nuniform_weights = [0.0, 1.0]\noptuna_sampler = "acme"'
    (folder / "sampler.toml").write_text(CONFIG.replace("n_trials = 1", drawn) + "[sampler]\nweight = 0.25\n")
    (folder / "weights.json").write_text('{"matrices": 0.0, "vectors": 0.5}')


def models() -> tuple[str, ...]:
    """The flags of the models that ship with the demo."""
    return tuple(f"--{role}-model={bundled_demo_models() / role}" for role in ("target", "base", "tuned"))


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return found


def vectors_and_matrices(folder: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What a merge moved in the target's vectors, and in its matrices."""
    old, new = (
        load_file(place / "model.safetensors") for place in (bundled_demo_models() / "target", folder / "out")
    )
    moved = [new[name].float() - old[name].float() for name in old]
    return [m for m in moved if m.ndim == 1], [m for m in moved if m.ndim > 1]


def the_provider_rated(folder: Path) -> None:
    rows = read_lines(folder / "ratings.jsonl")
    assert [(row["score"], row["judgment"]) for row in rows] == [(5, "Rating: [[5]]")] * 4


def the_engine_answered(folder: Path) -> None:
    rows = read_lines(folder / "out" / "model_answer" / "0.jsonl")
    assert len(rows) == 4
    assert all(row["choices"][0]["turns"][0].endswith("どうも") for row in rows)


def the_sampler_chose(folder: Path) -> None:
    trials = {trial["number"]: trial["weights"] for trial in read_lines(folder / "out" / "trials.jsonl")}
    assert set(trials[2].values()) == {0.25}


def the_grouping_moved_vectors_alone(folder: Path) -> None:
    vectors, matrices = vectors_and_matrices(folder)
    assert any(map(torch.any, vectors))
    assert not any(map(torch.any, matrices))


def the_method_moved_the_upper_half(folder: Path) -> None:
    _, matrices = vectors_and_matrices(folder)
    halves = [matrix.tensor_split([len(matrix) // 2]) for matrix in matrices]
    assert any(torch.any(upper) for upper, _ in halves)
    assert not any(torch.any(lower) for _, lower in halves)
    card = (folder / "out" / "README.md").read_text(encoding="utf-8")
    assert "There is no `mergekit.yml`: mergekit has no counterpart of the method acme." in card
    assert not (folder / "out" / "mergekit.yml").exists()


def the_tasks_were_asked(folder: Path) -> None:
    assert set(result_of(folder)["search"]["best"]) >= {"mean"}
    rows = read_lines(folder / "out" / "model_answer" / "0.jsonl")
    assert [row["question_id"] for row in rows] == [f"lengths/{n}" for n in range(4)]


def the_figure_is_on_the_page(folder: Path) -> None:
    assert "<h2>Coverage of the trials</h2>" in (folder / "out" / "report.html").read_text(encoding="utf-8")


OPTIMIZE = ("optimize", "--run-dir=out")
MERGE = ("merge", "--output-dir=out", "--weights=weights.json")

RUNS = {
    "provider": Run(
        ("judge", "--answers=m.jsonl", "--bench-name=bench", "--judge=acme/m", "--out=ratings.jsonl"),
        the_provider_rated,
    ),
    "engine": Run((*OPTIMIZE, "--config=engine.toml", *models()), the_engine_answered),
    "sampler": Run((*OPTIMIZE, "--config=sampler.toml", *models()), the_sampler_chose),
    "grouping": Run((*MERGE, "--optimize-mode=acme", *models()), the_grouping_moved_vectors_alone),
    "method": Run(
        ("merge", "--output-dir=out", "--weight=1", "--method=acme", "--density=0.5", *models()),
        the_method_moved_the_upper_half,
    ),
    "tasks": Run((*OPTIMIZE, "--config=tasks.toml", *models()), the_tasks_were_asked),
    "figure": Run((*OPTIMIZE, "--config=run.toml", *models()), the_figure_is_on_the_page),
}
"""By the name of the thing in `THINGS`."""
