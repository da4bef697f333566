"""A whole study through the command line, with vLLM as its engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SETTINGS = """
n_trials = 4
trials_in_flight = 2
max_new_tokens = 24
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


def optimize(folder: Path, engine: str, settings: str) -> dict[str, Any]:
    """The result of a study on the demo's models, greedy, in float32."""
    folder.mkdir()
    (folder / "run.toml").write_text(settings, encoding="utf-8")
    argv = [sys.executable, "-m", "tvmerge", "demo", "--engine", engine, "--device", "cpu"]
    where = ["--config", str(folder / "run.toml"), "--run-dir", str(folder / "run")]
    done = subprocess.run([*argv, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "run" / "result.json").read_text(encoding="utf-8"))
    return found


def test_a_whole_study_has_the_candidates_and_scores_of_the_transformers_engine(tmp_path: Path) -> None:
    vllm = optimize(tmp_path / "vllm", "vllm", SETTINGS + SMALL)
    transformers = optimize(tmp_path / "transformers", "transformers", SETTINGS)
    for found in ("trials", "best_trial", "weights", "search", "holdout", "finalists"):
        assert vllm[found] == transformers[found], found
    assert len({trial["value"] for trial in vllm["trials"]}) > 1
    assert (tmp_path / "vllm" / "run" / "model" / "model.safetensors").is_file()
