"""What is refused of a run before a model is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tvmerge._util.caches import Caches
from tvmerge.config import RunConfig
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.run.outline import Outline, outline
from tvmerge.run.paths import RunPaths
from tvmerge.tasks.build import build_suite

Lay = Callable[..., Outline]


def write_benchmark(folder: Path, held_out: int) -> None:
    folder.mkdir()
    rows = [
        {
            "question_id": n,
            "category": "any",
            "turns": ["?"],
            "split": "holdout" if n < held_out else "search",
        }
        for n in range(held_out + 5)
    ]
    (folder / "question.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Outlines a run over benchmarks with so many held-out questions each."""

    def make(*held_out: int, **settings: Any) -> Outline:
        folders = [tmp_path / name for name in "abc"[: len(held_out)]]
        for folder, number in zip(folders, held_out, strict=True):
            write_benchmark(folder, number)
        config = RunConfig(
            target_model=("t",),
            base_model="b",
            tuned_model="v",
            bench_name=tuple(map(str, folders)),
            judge=("rules",),
            run_dir=str(tmp_path / "run"),
            **settings,
        )
        with closing(Caches()) as caches:
            return outline(config, RunPaths.of(config), build_suite(config, caches, print))

    return make


def test_a_chat_template_that_is_missing_is_told_before_the_models_are_read(lay: Lay) -> None:
    with pytest.raises(CheckpointError, match=r"--chat-template none\.jinja: cannot be read"):
        lay(6, chat_template="none.jinja")


@pytest.mark.parametrize(
    ("held_out", "settings", "ways"),
    [
        ((15, 1), {}, "(--holdout), or nothing (--holdout 0)"),
        ((15, 0), {"confirm_candidates": 1}, "(--holdout), or nothing (--holdout 0)"),
    ],
)
def test_one_of_several_benchmarks_with_too_few_held_out_questions_is_refused_in_a_line(
    lay: Lay, held_out: tuple[int, ...], settings: dict[str, int], ways: str
) -> None:
    with pytest.raises(ConfigError) as error:
        lay(*held_out, **settings)
    assert str(error.value) == (
        f"too few questions of b are held out to confirm the best of the search: {held_out[1]}; "
        f"hold out more {ways}"
    )


@pytest.mark.parametrize(
    ("held_out", "settings"),
    [
        ((15, 3), {}),
        ((15, 2), {}),
        ((15, 2), {"confirm_candidates": 1}),
        ((15, 2), {"n_trials": 1, "optuna_sampler": "TPE"}),
        ((15, 2), {"holdout": 0.0}),
        ((0, 0), {}),
        ((1,), {}),
    ],
)
def test_enough_held_out_questions_none_or_a_benchmark_alone_are_let_through(
    lay: Lay, held_out: tuple[int, ...], settings: dict[str, float]
) -> None:
    found = lay(*held_out, **settings)
    assert len(found.holdout_questions) == (0 if settings.get("holdout") == 0 else sum(held_out))
