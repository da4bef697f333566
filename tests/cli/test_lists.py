"""Names with commas and equals signs on the command line, from end to end.

Several modules: the flags, the config file and the rooms that read lists.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tvmerge.cli.app import run


def test_a_folder_with_a_comma_and_an_expression_with_one_are_what_they_look_like(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(here / "target", here / "target, old")
    vector = ["--base-model=base", "--tuned-model=chat", "--weight=0.5", "--output-dir=out"]
    assert (
        run(["merge", "--target-model=target, old", r"--freeze=layers\.[0]{1,2}\.mlp,lm_head", *vector]) == 0
    )
    told = capsys.readouterr().err
    assert r"model.layers.0.mlp.down_proj.weight (frozen by 'layers\\.[0]{1,2}\\.mlp')" in told
    assert "lm_head.weight (frozen by 'lm_head')" in told
    own, got = (load_file(f"{folder}/model.safetensors") for folder in ("target", "out"))
    same = {name for name, tensor in own.items() if torch.equal(tensor, got[name])}
    matrices = {f"model.layers.0.mlp.{part}_proj.weight" for part in ("gate", "up", "down")}
    assert same == {"lm_head.weight"} | matrices


def test_several_targets_in_one_flag_may_have_commas(here: Path) -> None:
    shutil.copytree(here / "other", here / "a,b")
    vector = ["--base-model=base", "--tuned-model=chat", "--weight=0", "--output-dir=out"]
    assert run(["merge", "--target-model=target,a,b", *vector]) == 0
    parts = json.loads(Path("out/tvmerge.json").read_text())
    assert (parts["target.0"], parts["target.1"]) == ("target", "a,b")


def test_a_benchmark_called_like_one_with_a_weight_is_asked(here: Path, demo_models: Path) -> None:
    bench = here / "q=0.5"
    bench.mkdir()
    question = {"question_id": 1, "category": "math", "turns": ["One and one?"]}
    (bench / "question.jsonl").write_text(json.dumps(question) + "\n")
    roles = [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
    settings = ["--judge=rules", "--n-trials=1", "--max-new-tokens=2", "--holdout=0", "--run-dir=run"]
    assert run(["optimize", *roles, *settings, "--bench-name=q=0.5"]) == 0
    assert json.loads(Path("run/result.json").read_text())["benchmark"] == "q=0.5"
