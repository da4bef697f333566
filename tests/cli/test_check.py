"""`tvmerge check` on small models: a page for models that fit, a line for those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tvmerge.cli.app import run

MODELS = ("--target-model=target", "--base-model=base", "--tuned-model=chat")
TEMPLATE = (
    "{% for m in messages %}{{ 'w3 ' if m['role'] == 'user' else 'w4 ' }}{{ m['content'] }}"
    "{{ ' w2 ' if m['role'] == 'assistant' else ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'w4' }}{% endif %}"
)
ONE_TURN = (
    "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}"
    "w3 {{ messages[0].content }} w4"
)


@pytest.fixture
def template(here: Path) -> str:
    """A chat template beside the models, as a flag."""
    (here / "chat.jinja").write_text(TEMPLATE, encoding="utf-8")
    return "--chat-template=chat.jinja"


def changed(here: Path, name: str, **settings: Any) -> str:
    """A copy of a model whose configuration says something else."""
    copy = here / f"changed-{name}"
    copy.mkdir()
    for file in (here / name).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, **settings}), encoding="utf-8")
    return copy.name


def test_models_that_fit_are_told_on_a_page(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.rglob("*"))

    assert run(["check", *MODELS, template]) == 0

    page, problems = capsys.readouterr()
    assert problems == ""
    titles = [line for line in page.splitlines() if not line.startswith(" ")]
    assert titles == ["models", "weights", "positions", "notes", "chat", "memory", "files"]
    assert "target: target, LlamaForCausalLM, 2 layers" in page
    assert "5 weights: embeddings, layers.0, layers.1, norm, head" in page
    assert "context: 64 tokens" in page
    assert "RoPE: rope_theta 10000, rope_type default" in page
    assert "stop tokens: w2 (chat template, target, tuned)" in page
    assert "a conversation can have several turns" in page
    assert "memory of cpu: " in page
    assert "tokenizer.json" in page
    assert sorted(here.rglob("*")) == before


def test_what_a_run_would_refuse_is_said_at_the_end_and_the_rest_of_the_page_before(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", *MODELS]) == 2

    page, problems = capsys.readouterr()
    assert "memory of cpu: " in page
    assert len(problems.splitlines()) == 1
    assert problems.startswith("error: ")
    assert "chat template" in problems


def test_models_that_do_not_fit_are_a_line(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(here, "chat", hidden_act="gelu")

    assert run(["check", *MODELS[:2], f"--tuned-model={other}", template]) == 2

    page, problems = capsys.readouterr()
    assert page == ""
    assert problems.count("\n") == 1
    assert "hidden_act is silu in target, gelu in changed-chat" in problems


def test_what_only_differs_is_among_the_notes(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(here, "chat", rms_norm_eps=1e-3)

    assert run(["check", *MODELS[:2], f"--tuned-model={other}", template]) == 0

    assert "norm epsilon differs" in capsys.readouterr().out


def test_a_template_that_refuses_a_second_turn_is_no_reason_to_refuse(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "one.jinja").write_text(ONE_TURN, encoding="utf-8")

    assert run(["check", *MODELS, "--chat-template=one.jinja"]) == 0

    assert (
        "the template does not support a second turn, so questions can have only one turn"
        in capsys.readouterr().out
    )


def test_every_tensor_without_a_weight_is_listed_where_names_are_wanted(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", *MODELS, template, "--freeze=layers"]

    assert run(arguments) == 0
    short = capsys.readouterr().out
    assert run([*arguments, "--names"]) == 0
    whole = capsys.readouterr().out

    assert "more (frozen by 'layers')" in short
    assert "model.layers.1.mlp.down_proj.weight" not in short
    assert "model.layers.1.mlp.down_proj.weight" in whole


def test_what_is_not_copied_is_told_once(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = changed(here, "target")
    (here / copy / "model.onnx").write_bytes(b"graph")

    assert run(["check", f"--target-model={copy}", *MODELS[1:], template]) == 0

    assert capsys.readouterr().out.count("model.onnx") == 1


def test_an_adapter_is_told_as_one(here: Path, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["check", "--target-model=target", "--base-model=base", "--tuned-model=adapter", template]) == 0
    )

    page = capsys.readouterr().out
    assert "tuned: adapter, adapter (LoRA) of base" in page
    assert "adapter does not adapt it" in page


def test_settings_come_from_a_runs_file_and_flags_win(
    here: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run.toml").write_text(
        'target_model = "target"\nbase_model = "base"\ntuned_model = "chat"\n'
        'bench_name = "japanese-chat"\noptimize_mode = "uniform"\n',
        encoding="utf-8",
    )

    assert run(["check", "--config=run.toml", template]) == 0
    assert "1 weight: uniform" in capsys.readouterr().out
    assert run(["check", "--config=run.toml", "--optimize-mode=block", template]) == 0
    assert "layers.0.self_attn" in capsys.readouterr().out


def test_weights_are_read_only_where_wanted(
    here: Path,
    template: str,
    capsys: pytest.CaptureFixture[str],
    spoilt: Callable[[str], str],
) -> None:
    arguments = ["check", *MODELS[:2], f"--tuned-model={spoilt('chat')}", template]

    assert run(arguments) == 0
    capsys.readouterr()
    assert run([*arguments, "--verify"]) == 2

    assert "NaN" in capsys.readouterr().err


@pytest.fixture
def spoilt(here: Path) -> Callable[[str], str]:
    """Makes a copy of a model with a weight that is no number."""
    from safetensors.torch import load_file, save_file

    def spoil(name: str) -> str:
        copy = changed(here, name)
        tensors = load_file(here / name / "model.safetensors")
        tensors["model.norm.weight"][0] = float("nan")
        save_file(tensors, here / copy / "model.safetensors", metadata={"format": "pt"})
        return copy

    return spoil
