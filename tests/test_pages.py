"""What single pages claim of the code: the flags of the original scripts, the errors, the plan of a run.

No module: the documents.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, inline_code
from tvmerge.cli.app import app
from tvmerge.config import load_config
from tvmerge.judging.registry import find_spec

DOCS = ROOT / "docs"
BOTH = (DOCS, DOCS / "ja")

SHARED = (
    *("base_model", "tuned_model", "optimize_mode", "n_trials", "cache_dir"),
    *("optuna_sampler", "weight_min", "weight_max", "output_dir", "optuna_seed"),
)
JUDGED = ("bench_name", "judge_model_name", "judge_file", "parallel")
SCRIPTS = {
    "merge_task_vector_mt_bench.py": ("target_model", *SHARED, *JUDGED),
    "merge_task_vector_jglue.py": ("target_model", *SHARED, "jglue_tasks", "jglue_limit"),
    "merge_task_vector_mt_bench_moe_2_experts.py": ("target_model_1", "target_model_2", *SHARED, *JUDGED),
    "merge_task_vector_mt_bench_moe_4_experts.py": (
        *(f"target_model_{number}" for number in range(1, 5)),
        *SHARED,
        *JUDGED,
    ),
}
"""The flags of the original scripts, as their parsers name them."""

EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_flags_of_an_original_script_are_accepted(script: str) -> None:
    values = {"optimize_mode": "layer", "optuna_sampler": "TPE", "jglue_tasks": "jnli-1.3-0.2"}
    numbers = ("n_trials", "weight_min", "weight_max", "optuna_seed", "parallel", "jglue_limit")
    argv = [f"--{flag}={values.get(flag, '1' if flag in numbers else 'example')}" for flag in SCRIPTS[script]]
    parent = app.make_context("tvmerge", ["optimize"])
    parsed = app.commands["optimize"].make_context("optimize", argv, parent=parent).params
    assert sum(value not in (None, (), False) for value in parsed.values()) > 5


@pytest.mark.parametrize("folder", BOTH, ids=str)
def test_every_flag_of_the_original_scripts_is_described(folder: Path) -> None:
    page = folder / "original-scripts.md"
    said = set(inline_code(page))
    assert set(SCRIPTS) <= said
    ranged = {"target_model_2", "target_model_3"}  # "--target_model_1 to --target_model_4"
    assert {f"--{flag}" for flags in SCRIPTS.values() for flag in flags if flag not in ranged} <= said


def errors(folder: Path) -> list[str]:
    """The beginnings of the rows of a page that quote errors."""
    text = (folder / "troubleshooting.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_the_errors_that_are_explained_are_those_of_the_code() -> None:
    english, japanese = map(errors, BOTH)
    assert english == japanese
    assert len(english) > 30
    texts = [
        node.value
        for path in (ROOT / "tvmerge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for error in english:
        for part in error.split("..."):
            words = part.strip("', ")
            assert any(words in text for text in texts), f"no error says: {words}"


def test_the_plan_of_a_run_on_a_small_gpu_is_what_a_dry_run_prints() -> None:
    # torch is told of a GPU, which no other test should see.
    code = "from docs.run_24gb import page; print(page(), end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    page = (DOCS / "run-24gb.md").read_text(encoding="utf-8")
    assert done.stdout == page, "run: python -m docs.run_24gb"


@pytest.mark.parametrize("folder", BOTH, ids=str)
def test_the_numbers_around_the_plan_are_those_in_it(folder: Path) -> None:
    plan = (DOCS / "run-24gb.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    said = (folder / "run-24gb.md").read_text(encoding="utf-8").replace(plan, "")
    for number in re.findall(r"\d+\.\d+|\b170\b", said):
        assert number in plan, number


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_with_a_paid_judge_has_a_budget(path: Path) -> None:
    config = load_config({}, path)
    paid = config.bench_name and any(find_spec(judge).price_input for judge in config.judging.judge)
    assert bool(config.judging.max_cost) is bool(paid)
