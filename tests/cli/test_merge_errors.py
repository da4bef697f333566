"""Bad input to `tvmerge merge`: one line that says all of it, and nothing written.

Several modules: the command and all of merging.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.llama_cpp import write_programs
from tests.merging.checkpoints.lora.adapters import saved_adapter
from tests.merging.families import saved_model
from tvmerge.cli.app import run

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

_PLAIN = ("--target-model=target", "--base-model=base", "--tuned-model=chat")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--weight=1", "--chat-template=none.jinja"], "--chat-template none.jinja: cannot be read"),
        (["--weight=1", "--weights=w.json"], "pass one of --weight, --weights or --trial; got --weight and"),
        (["--weights=none.json"], "none.json: cannot be read"),
        (["--weight=nan"], "--weight must be a finite number, got nan"),
        (["--weight=1", "--shard-size=0"], "shard_size must be at least 1e-06"),
        (["--weight=1", "--method=ties", "--density=1.5"], "density must be in (0, 1]"),
        (["--weight=1", "--freeze=("], "'(' is not a regular expression"),
        (["--weight=1", "--gate=zeros"], "settings of a mixture need two target models or more"),
        (["--weight=1", "--base-model=extended", "--vocab=error"], "does not fit target"),
        (["--weight=1", "--quantise=q8_0", "--llama-cpp=none"], "--llama-cpp none is not a folder"),
    ],
)
def test_what_cannot_be_merged_is_said_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert run(["merge", *_PLAIN, *argv, "--output-dir", "out"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (here / "out").exists()


def test_a_chat_template_that_is_missing_is_told_before_the_models_are_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (
        "--target-model=none",
        "--base-model=none",
        "--tuned-model=none",
        "--weight=1",
        "--output-dir=out",
    )
    assert run(["merge", *flags, "--chat-template=none.jinja"]) == 2
    assert "--chat-template none.jinja: cannot be read" in capsys.readouterr().err


def test_an_unknown_type_of_gguf_file_is_told_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = write_programs(here / "programs")
    flags = ("--weight=1", "--quantise=f16,q9", f"--llama-cpp={programs}", "--output-dir=out")
    assert run(["merge", *_PLAIN, *flags]) == 2
    assert "--quantise q9: llama-quantize knows no such type" in capsys.readouterr().err.splitlines()[-1]
    assert not (here / "out").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merge_with_infinite_numbers_is_not_written(
    here: Path, capsys: pytest.CaptureFixture[str], dtype: str
) -> None:
    flags = (f"--dtype={dtype}", "--weight=1e300", "--output-dir=out")
    assert run(["merge", *_PLAIN, *flags]) == 2
    assert "would hold NaN or infinities" in capsys.readouterr().err.splitlines()[-1]
    assert not (here / "out").exists()
    assert not list(here.glob(".*"))


def test_an_adapter_with_an_infinite_scale_is_not_merged(here: Path) -> None:
    saved_adapter(here / "base", here / "lora")
    file = here / "lora" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lora_alpha": math.inf}))
    assert (
        run(["merge", "--target-model=target", "--tuned-model=lora", "--weight=1", "--output-dir=out"]) == 2
    )
    assert not (here / "out").exists()


def _family(folder: Path) -> None:
    saved_model(folder, "mistral", seed=1, num_hidden_layers=3)


def _size(folder: Path) -> None:
    saved_model(folder, "llama", seed=1, hidden_size=64, num_key_value_heads=4)


def _missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    saved_model(folder, "llama", seed=1, save={"max_shard_size": "20KB"})
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def _corrupt(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{not json at all" + bytes(64))


def _spoilt(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(
        tensors | {name: change(tensors[name])}, folder / "model.safetensors", metadata={"format": "pt"}
    )


def _nan(folder: Path) -> None:
    _spoilt(folder, "model.norm.weight", lambda tensor: tensor.index_fill(0, torch.tensor(3), math.nan))


def _inf(folder: Path) -> None:
    _spoilt(folder, "model.norm.weight", lambda tensor: tensor.index_fill(0, torch.tensor(3), -math.inf))


def _integers(folder: Path) -> None:
    _spoilt(folder, "model.norm.weight", lambda tensor: tensor.to(torch.int8))


def _foreign_adapter(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    saved_adapter(folder.parent / "code", folder)


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (_family, ["tuned is a MistralForCausalLM (mistral)", "tuned has 3 layers, target has 2"]),
        (_size, ["1.self_attn.q_proj.weight is [32, 64] in tuned", "norm.weight is [64] in tuned"]),
        (_missing, ["missing model-00002-of-", "download it again"]),
        (_corrupt, ["tuned/model.safetensors: its safetensors header is damaged"]),
        (_nan, ["tuned: tensor 'model.norm.weight' holds NaN"]),
        (_inf, ["tuned: tensor 'model.norm.weight' holds an infinity"]),
        (_integers, ["model.norm.weight is I8 and should be a float"]),
        (_foreign_adapter, ["tuned was trained on 'code', but the base model is 'base'"]),
    ],
)
def test_a_model_that_does_not_fit_is_told_whole_in_one_line_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], parts: list[str]
) -> None:
    shutil.copytree("chat", "tuned")
    spoil(here / "tuned")
    own = ("--target-model=target", "--base-model=base", "--tuned-model=tuned", "--weight=1")
    assert run(["merge", *own, "--output-dir", "out"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert [part for part in parts if part not in errors[0]] == [], errors[0]
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("argv", "holds"),
    [
        (["--weight=1", "--output-dir=."], "the working directory"),
        (["--weights=out/w.json", "--output-dir=out"], "the file of weights"),
        (["--weight=1", "--config=out/run.toml", "--output-dir=out"], "the config file"),
        (["--weight=1", "--output-dir=ran"], "the results of a run"),
        (["--weight=1", "--output-dir=runs"], "the results of a run"),
        (["--weight=1", "--base-model=own", "--output-dir=own"], "a model that is merged from"),
        (["--weight=1", "--chat-template=out/own.jinja", "--output-dir=out"], "the chat template"),
        (["--weights=new-experts/w.json", "--save-experts", "--output-dir=new"], "the file of weights"),
    ],
)
def test_what_a_merge_needs_or_a_run_has_written_is_not_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], holds: str
) -> None:
    for folder, name, text in (
        ("out", "w.json", '{"layers.0": 1}'),
        ("new-experts", "w.json", '{"layers.0": 1}'),
        ("out", "own.jinja", ""),
        ("out", "run.toml", ""),
        ("ran", ".study", "s"),
        ("runs/some/of/mine", ".study", "demo"),
    ):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_text(text, encoding="utf-8")
    shutil.copytree("base", "own")
    before = sorted(here.rglob("*"))
    assert run(["merge", *_PLAIN, *argv, "--overwrite"]) == 2
    assert f"holds {holds}" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--weight=1", "--output-dir=mine"], "mine is not empty; choose another output folder"),
        (["--weight=inf", "--output-dir=out"], "--weight must be a finite number, got inf"),
        (["--weights=none.json", "--output-dir=out"], "none.json: cannot be read"),
    ],
)
def test_what_needs_no_model_is_checked_before_any_is_read(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").touch()
    nowhere = ("--target-model=nowhere", "--base-model=nowhere", "--tuned-model=nowhere")
    assert run(["merge", *nowhere, *argv]) == 2
    assert f"error: {message}" in capsys.readouterr().err
