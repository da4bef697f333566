"""`tvmerge merge` on its own: each kind of merge, and each of them again from what is beside its model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.llama_cpp import content, write_programs
from tvmerge.cli.app import run


def merged(*argv: str, out: str = "out") -> dict[str, torch.Tensor]:
    assert run(["merge", *argv, "--output-dir", out, "--overwrite"]) == 0
    return state(out)


def state(folder: str) -> dict[str, torch.Tensor]:
    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(folder)
    model.generate(torch.tensor([[3, 5, 7]]), max_new_tokens=3, do_sample=False)
    return dict(model.state_dict())


def formula(target: str, weight: float, tuned: str, base: str = "base") -> dict[str, torch.Tensor]:
    own, new, old = (load_file(f"{name}/model.safetensors") for name in (target, tuned, base))
    return {
        name: (tensor.float() + weight * (new[name].float() - old[name].float())).bfloat16()
        for name, tensor in own.items()
    }


def assert_equal(got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in got.items():
        assert torch.equal(tensor, expected[name]), name


PLAIN = ("--target-model=target", "--base-model=base", "--tuned-model=chat")
CONFIGS = {
    "vectors": """
        target_model = "target"
        merge_seed = 3
        [[task_vectors]]
        name = "chat"
        tuned = "chat"
        base = "base"
        optimize_mode = "layer"
        layer_granularity = 2
        [[task_vectors]]
        name = "code"
        tuned = "code"
        base = "base"
        method = "dare"
        density = 0.5
        freeze = ["lm_head", 'norm\\.']
        weight_max = 3.0
    """,
    "patterns": """
        target_model = "target"
        base_model = "base"
        tuned_model = "chat"
        optimize_mode = "regex"
        patterns = [{name = "attention", pattern = 'self_attn\\.'}, {name = "mlp", pattern = "mlp"}]
    """,
    "ties": """
        target_model = "target"
        base_model = "base"
        tuned_model = "chat"
        optimize_mode = "block"
        smooth = 2
        method = "ties"
        density = [0.2, 0.6]
        dtype = "float32"
    """,
    "extended": 'target_model = "extended"\nbase_model = "base"\ntuned_model = "chat"\n',
    "adapter": 'target_model = "target"\ntuned_model = "adapter"\n',
    "mixture": """
        target_model = ["target", "other"]
        base_model = "base"
        tuned_model = "chat"
        optimize_mode = "parameter"
        moe_base = "code"
        experts_per_token = 1
        gate = "hidden"
        experts = [{positive = ["w3 \\"w4\\""], negative = ["w5"]}, {positive = ["w6"]}]
    """,
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_lies_beside_a_model_makes_it_again(here: Path, kind: str) -> None:
    Path("run.toml").write_text(CONFIGS[kind])
    first = merged("--config=run.toml", "--weight=0.7")
    card = Path("out/README.md").read_text()
    command = re.search(r"^tvmerge merge .*$", card, re.MULTILINE)
    assert command is not None
    for name in ("tvmerge.toml", "tvmerge.json"):
        text = Path("out", name).read_text()
        assert str(here.resolve()) not in text
        Path(name).write_text(text)
    assert run(command[0].split()[1:]) == 0
    assert_equal(state("model"), first)
    assert Path("model/tvmerge.toml").read_text() == Path("tvmerge.toml").read_text()


def test_several_targets_become_a_mixture_with_the_dense_models_beside_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vector = ("--base-model=base", "--tuned-model=chat", "--weight=0.5")
    got = merged("--target-model-1=target", "--target-model-2=other", *vector, "--save-experts")
    assert json.loads((here / "out/config.json").read_text())["architectures"] == ["MixtralForCausalLM"]
    assert capsys.readouterr().out.splitlines() == [
        "model: out",
        *(f"expert: out-experts/expert-{number}" for number in range(2)),
    ]
    experts = [formula(name, 0.5, "chat") for name in ("target", "other")]
    up = "model.layers.1.mlp.up_proj.weight"
    fused = got["model.layers.1.mlp.experts.gate_up_proj"]
    for number, expert in enumerate(experts):
        assert torch.equal(fused[number, 48:], expert[up])
    assert torch.equal(got["model.embed_tokens.weight"], experts[0]["model.embed_tokens.weight"])
    assert_equal(state("out-experts/expert-0"), experts[0])
    assert torch.equal(state("out-experts/expert-1")[up], experts[1][up])


def test_vectors_of_a_config_file_take_their_weights_by_name(here: Path) -> None:
    (here / "run.toml").write_text(CONFIGS["vectors"].replace('method = "dare"\n        density = 0.5\n', ""))
    weights = {"embeddings": 0.3, "layers.0-1": 0.6, "norm": -0.2, "head": 1.5}
    recipe = {f"chat/{name}": w for name, w in weights.items()} | {"code/embeddings": 0, "code/layers.0": 1}
    (here / "w.json").write_text(json.dumps(recipe | {"code/layers.1": 0}))
    got = merged("--config=run.toml", "--weights=w.json")
    assert torch.equal(got["lm_head.weight"], formula("target", 1.5, "chat")["lm_head.weight"])
    name = "model.layers.0.mlp.up_proj.weight"
    own, chat, code, base = (
        load_file(f"{model}/model.safetensors")[name].float() for model in ("target", "chat", "code", "base")
    )
    step = 0.6 * (chat - base) + 1 * (code - base)
    assert torch.equal(got[name], (own + step).bfloat16())
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(got[name], formula("target", 0.6, "chat")[name])


def test_patterns_leave_what_they_do_not_name_and_say_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run.toml").write_text(CONFIGS["patterns"])
    (here / "w.json").write_text('{"attention": 0.5, "mlp": -1.25}')
    got = merged("--config=run.toml", "--weights=w.json")
    own, half, back = (
        formula("target", 0, "chat"),
        formula("target", 0.5, "chat"),
        formula("target", -1.25, "chat"),
    )
    for name, tensor in got.items():
        expected = half if "self_attn." in name else back if "mlp" in name else own
        assert torch.equal(tensor, expected[name]), name
    assert "no weight, as in the target: model.embed_tokens.weight" in capsys.readouterr().err


def test_a_target_with_more_tokens_gets_the_vector_in_the_rows_of_shared_ones(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = merged("--target-model=extended", *PLAIN[1:], "--weight=0.5")
    assert "tokens: chat: " in capsys.readouterr().err
    tokenizer: Any = AutoTokenizer.from_pretrained("out")
    assert tokenizer.convert_ids_to_tokens([0, 6]) == ["語0", "w63"]
    own, new, old = (
        load_file(f"{name}/model.safetensors")["lm_head.weight"].float()
        for name in ("extended", "chat", "base")
    )
    expected = own.clone()
    expected[6:] += 0.5 * (new - old).flip(0)
    assert torch.equal(got["lm_head.weight"], expected.bfloat16())


def test_skipped_tokens_leave_both_tables_alone(here: Path) -> None:
    got = merged("--target-model=extended", *PLAIN[1:], "--weight=0.5", "--vocab=skip")
    own = load_file("extended/model.safetensors")
    assert torch.equal(got["lm_head.weight"], own["lm_head.weight"])
    assert not torch.equal(got["model.norm.weight"], own["model.norm.weight"])


def test_an_adapter_is_merged_by_the_base_it_names(here: Path) -> None:
    got = merged("--target-model=target", "--tuned-model=adapter", "--weight=0.5", "--dtype=float32")
    factors = load_file("adapter/adapter_model.safetensors")
    module = "layers.0.self_attn.q_proj"
    a, b = (factors[f"base_model.model.model.{module}.lora_{part}.weight"] for part in "AB")
    own = load_file("target/model.safetensors")[f"model.{module}.weight"].float()
    torch.testing.assert_close(got[f"model.{module}.weight"], own + 0.5 * 2.0 * (b @ a), rtol=1e-5, atol=1e-6)


def test_a_chat_template_that_is_given_comes_along_and_is_part_of_making_it_again(here: Path) -> None:
    (here / "mine.jinja").write_text("{{ messages[0].content }}!")
    merged(*PLAIN, "--weight=1", "--chat-template=mine.jinja")
    tokenizer: Any = AutoTokenizer.from_pretrained("out")
    assert tokenizer.chat_template == "{{ messages[0].content }}!"
    assert "--chat-template chat_template.jinja" in (here / "out/README.md").read_text()


def test_a_runs_file_brings_its_chat_template_to_any_merge(here: Path) -> None:
    (here / "mine.jinja").write_text("{{ messages[0].content }}!")
    (here / "run.toml").write_text('chat_template = "mine.jinja"\npush_to_hub = "nobody/nothing"\n')
    merged(*PLAIN, "--weight=1", "--config=run.toml")
    tokenizer: Any = AutoTokenizer.from_pretrained("out")
    assert tokenizer.chat_template == "{{ messages[0].content }}!"


def test_gguf_files_are_written_beside_the_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programs = write_programs(here / "programs")
    merged(*PLAIN, "--weight=1", "--quantise=q4_k_m,q8_0", f"--llama-cpp={programs}")
    weights = hashlib.sha256((here / "out/model.safetensors").read_bytes()).hexdigest()
    for kind in ("Q4_K_M", "Q8_0"):
        made = content(here / f"out-gguf/out-{kind}.gguf")
        assert (made["type"], made["weights"]) == (kind, weights)
    assert capsys.readouterr().out.splitlines() == [
        "model: out",
        "gguf: out-gguf/out-Q4_K_M.gguf (0.0 MB)",
        "gguf: out-gguf/out-Q8_0.gguf (0.0 MB)",
    ]


def test_any_trial_of_a_search_is_written_with_the_chat_template_it_was_scored_with(
    demo_models: Path, tmp_path: Path
) -> None:
    template = tmp_path / "mine.jinja"
    text = (demo_models / "target" / "chat_template.jinja").read_text() + "{# mine #}"
    template.write_text(text)
    roles = [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
    searched = ["--bench-name=demo", "--judge=rules", "--n-trials=1", "--max-new-tokens=2", "--holdout=0"]
    folder = [f"--run-dir={tmp_path / 'run'}", "--study-name=s", f"--chat-template={template}"]
    assert run(["optimize", *roles, *searched, *folder]) == 0
    template.unlink()
    study = ["--storage", f"sqlite:///{tmp_path / 'run' / 'study.db'}", "--study-name=s", "--trial=0"]
    assert run(["merge", *study, "--output-dir", str(tmp_path / "trial")]) == 0
    of_run = [f"--run-dir={tmp_path / 'run'}", f"--output-dir={tmp_path / 'winner'}"]
    assert run(["merge", *of_run]) == 0
    winner, written = (load_file(tmp_path / name / "model.safetensors") for name in ("run/model", "winner"))
    assert_equal(written, winner)
    for model in (tmp_path / "run" / "model", tmp_path / "trial", tmp_path / "winner"):
        assert (model / "chat_template.jinja").read_text() == text
