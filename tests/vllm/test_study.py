"""A whole study through the command line, with vLLM as its engine.

Several modules: a whole run, where vLLM is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, TextIO

from tvmerge.cli.app import run
from tvmerge.study.storage import read_study

SETTINGS = """
n_trials = 4
trials_in_flight = 2
max_new_tokens = 24
optuna_sampler = "TPE"
racing = "off"

[temperature]
default = 0
"""

SMALL = """
[vllm]
enforce_eager = true
max_num_seqs = 16
kv_cache_memory_bytes = 268435456
"""


def apart(argv: Sequence[str], told: TextIO) -> int:
    """Run a command as users do."""
    return subprocess.run([sys.executable, "-m", "tvmerge", *argv], stderr=told, check=False).returncode


def here(argv: Sequence[str], told: TextIO) -> int:
    """Run a command in this process, which has imported everything."""
    with redirect_stderr(told):
        return run(argv)


def optimize(
    folder: Path,
    engine: str,
    settings: str,
    *more: str,
    how: Callable[[Sequence[str], TextIO], int] = here,
) -> Path:
    """Return the run folder of a study on the demo's models, greedy, in float32; `told.txt` is beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "run.toml").write_text(settings, encoding="utf-8")
    argv = ["demo", "--engine", engine, "--device", "cpu"]
    where = ["--config", str(folder / "run.toml"), "--run-dir", str(folder / "run")]
    with (folder / "told.txt").open("w", encoding="utf-8") as told:
        code = how([*argv, *where, *more], told)
    assert code == 0, (folder / "told.txt").read_text(encoding="utf-8")
    return folder / "run"


def result(folder: Path) -> dict[str, Any]:
    """What the study found."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {key: found[key] for key in ("best_trial", "weights", "search", "holdout", "finalists", "trials")}


def answers(folder: Path) -> dict[str, list[Any]]:
    """What each trial answered."""
    files = sorted((folder / "model_answer").glob("*.jsonl"))
    lines = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in files}
    return {trial: [json.loads(line)["choices"] for line in rows] for trial, rows in lines.items()}


def test_a_whole_study_has_the_candidates_and_answers_of_the_transformers_engine(tmp_path: Path) -> None:
    vllm = optimize(tmp_path / "vllm", "vllm", SETTINGS + SMALL, how=apart)
    transformers = optimize(tmp_path / "transformers", "transformers", SETTINGS)
    assert result(vllm) == result(transformers)
    assert result(vllm)["trials"]["complete"] == 4
    assert answers(vllm) == answers(transformers)
    assert len({str(rows) for rows in answers(vllm).values()}) == 4
    assert (vllm / "model" / "model.safetensors").is_file()
    told = (tmp_path / "vllm" / "told.txt").read_text(encoding="utf-8")
    assert told.count("comparing vLLM's reloaded weights") == 1
    assert read_study(f"sqlite:///{vllm / 'study.db'}", "demo").attrs["tvmerge:vllm_reload"] < 1e-4
    optimize(tmp_path / "vllm", "vllm", SETTINGS + SMALL, "--n-trials=5")
    assert "comparing" not in (tmp_path / "vllm" / "told.txt").read_text(encoding="utf-8")


def test_a_whole_study_of_a_mixture_does_too(tmp_path: Path, demo_models: Path) -> None:
    targets = [f"--target-model-{n + 1}={demo_models / role}" for n, role in enumerate(("target", "tuned"))]
    few = ["--n-trials=3", "--holdout=0", *targets]
    vllm = optimize(tmp_path / "vllm", "vllm", SETTINGS + SMALL, *few)
    transformers = optimize(tmp_path / "transformers", "transformers", SETTINGS, *few)
    assert result(vllm) == result(transformers)
    assert answers(vllm) == answers(transformers)
    assert len({str(rows) for rows in answers(vllm).values()}) == 3
    config = json.loads((vllm / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["MixtralForCausalLM"]
