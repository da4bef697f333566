"""A search over models that also see, through the command line.

Several modules: a whole run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.cli.app import run

WEIGHTS = "target/model.safetensors"
WORDS = [f"w{number}" for number in range(64)]
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


@pytest.mark.parametrize("family", ["mistral3", "qwen3_vl", "gemma4"])
def test_a_search_runs_and_its_model_is_whole(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = ("target", "base", "tuned")
    for seed, part in enumerate(parts):
        folder = saved_model(tmp_path / part, family, seed=seed)
        save_tokenizer(folder, WORDS, eos_token="w2", chat_template=TEMPLATE)
    wrapped = {f"module.{name}": tensor for name, tensor in load_file(tmp_path / WEIGHTS).items()}
    save_file(wrapped, tmp_path / WEIGHTS, metadata={"format": "pt"})
    bench = tmp_path / "bench"
    bench.mkdir()
    rows = [{"question_id": n, "category": "general", "turns": [f"w{n} w9"]} for n in range(4)]
    (bench / "question.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (bench / "benchmark.toml").write_text("[temperature]\ndefault = 0.0\n")
    models = [f"--{part}-model={tmp_path / part}" for part in parts]
    settings = ["--judge=rules", "--n-trials=2", "--max-new-tokens=4", "--study-name=s"]
    places = [f"--bench-name={bench}", f"--run-dir={tmp_path / 'run'}"]
    assert run(["optimize", *models, *settings, *places, "--dry-run"]) == 0
    assert run(["optimize", *models, *settings, *places]) == 0
    assert "MISSING" not in caplog.text, "transformers knows none of the target's names"
    factory: Any = AutoModelForImageTextToText
    _, report = factory.from_pretrained(tmp_path / "run" / "model", output_loading_info=True)
    assert not any(report.values())
