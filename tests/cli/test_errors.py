"""Bad input: one line that says what, where and how to fix it; exit code 2; nothing lost.

Several modules: the command and whatever raises the error.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.small_runs import few_questions
from tvmerge.cli.app import run


@pytest.fixture
def models(demo_models: Path, tmp_path: Path) -> Path:
    for role in ("base", "tuned", "target"):
        shutil.copytree(demo_models / role, tmp_path / role)
    few_questions(tmp_path / "few")
    return tmp_path


def flags(models: Path, *more: str) -> list[str]:
    own = [f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]
    named = any(flag.startswith("--bench-name") for flag in more)
    return [
        "optimize",
        *own,
        *([] if named else [f"--bench-name={models / 'few' / 'demo'}"]),
        "--judge=rules",
        f"--run-dir={models / 'run'}",
        "--n-trials=1",
        "--max-new-tokens=4",
        *more,
    ]


def fails(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error of a command that must fail as bad input does."""
    capsys.readouterr()
    assert run(argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def spoil_tensor(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor.view(-1)[3] = float("nan")
    return tensor


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--target-model=no/such/folder"], "no/such/folder"),
        (["--judge=no-such-judge"], "known: .*rules"),
        (["--bench-name=no-such-bench"], "known: .*demo.*japanese-chat"),
        (["--judge-file=no-such-prompts"], "known: .*judge_prompts"),
        (["--weight-min=2", "--weight-max=1"], "weight_min 2 is larger than weight_max 1"),
        (["--device=cuda:7"], "no device 'cuda:7' on this machine; available: cpu"),
        (["--n-trials=0"], "n_trials must be at least 1"),
        (["--grace=inf"], "grace must be finite"),
        (["--uniform-weights=0.5,3"], "uniform_weights must be within the range"),
        (["--holdout=1"], "leaves no question to search with"),
        (["--optuna-sampler=NSGA"], "NSGA"),
        (["--no-such-flag=1"], "no-such-flag"),
        (["--chat-template=no-such-template"], "--chat-template no-such-template: cannot be read"),
        (["--storage=sqlite:////proc/no/study.db"], "storage"),
        (["--engine=vllm"], r"tvmerge\[vllm\]"),
        (["--tensor-parallel=2"], "--tensor-parallel is for --engine vllm, and this run uses transformers"),
        (["--config=no-such.toml"], "no-such.toml: cannot be read"),
    ],
)
def test_a_wrong_flag_is_named(
    models: Path, more: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = fails(flags(models, *more), capsys)
    assert re.search(expected, error), error
    assert not (models / "run" / "model").exists()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("[temperature]\nwrting = 0.5", "no question has the category 'wrting'; there are: .*"),
        ("[temperature]\ndefault = -1", "temperature of default must be a number of at least 0, got -1"),
        ("[vllm]\nmodel = 'x'", "vllm: 'model' is set by tvmerge; give --target-model instead"),
    ],
)
def test_a_wrong_table_is_named(
    models: Path, table: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "run.toml").write_text(table, encoding="utf-8")
    assert re.search(expected, fails(flags(models, f"--config={models / 'run.toml'}"), capsys))


def test_an_error_with_a_name_of_any_length_is_a_line_that_can_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["list", "judges", f"--assets={'n' * 100_000}"]) == 2
    said = capsys.readouterr().err
    assert 1000 < len(said) < 6000
    assert said.startswith("error: nnn")
    assert said.endswith("too long\n")


def test_a_missing_key_is_named_before_any_model_is_opened(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    shutil.rmtree(models / "target")
    assert "OPENAI_API_KEY" in fails(flags(models, "--judge=gpt-4o"), capsys)
    for name in ("gpt-4", "openai/gpt-4"):
        said = fails(flags(models, f"--judge={name}"), capsys)
        assert "shut gpt-4 down on 2026-10-23; use --judge gpt-6.1-sol or --judge gpt-6.1-terra" in said


def test_models_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--target-model, --tuned-model" in fails(
        ["optimize", "--base-model=x", "--bench-name=demo"], capsys
    )


def test_tensors_that_disagree_are_named_with_their_shapes(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    spoil_tensor(models / "tuned", name, lambda t: t[:-8])
    error = fails(flags(models), capsys)
    assert name in error
    assert "tuned" in error


@pytest.mark.parametrize("role", ["base", "tuned", "target"])
def test_a_tensor_with_nan_is_named_with_its_model(
    models: Path, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    spoil_tensor(models / role, name, with_nan)
    error = fails(flags(models), capsys)
    assert name in error
    assert role in error


def test_a_checkpoint_of_pickles_is_refused_unless_allowed(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = models / "tuned"
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "--allow-pickle" in fails(flags(models), capsys)
    assert run(flags(models, "--allow-pickle")) == 0


def test_a_corrupt_checkpoint_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "base" / "model.safetensors").write_bytes(b"\xff" * 100)
    assert "model.safetensors" in fails(flags(models), capsys)


def test_a_target_without_a_chat_template_is_told_how_to_go_on(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = models / "template.jinja"
    found = list((models / "target").glob("chat_template*"))
    assert found
    template.write_text(found[0].read_text(encoding="utf-8"), encoding="utf-8")
    found[0].unlink()
    assert "--chat-template FILE" in fails(flags(models), capsys)
    assert run(flags(models, f"--chat-template={template}")) == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['{"question_id": 1, "category": "a", "turns": ["x"]', ""], ":1"),
        (['{"question_id": 1, "turns": ["x"]}'], ":1.*category"),
        (["[" * 100_000], ":1.*not a JSON line"),
        (['{"question_id": 1, "category": "a", "turns": []}'], ":1.*turns"),
        (['{"question_id": 1, "category": "a", "turns": ["x"]}'] * 2, ":2.*question_id 1"),
    ],
)
def test_a_broken_question_is_named_by_file_and_line(
    models: Path, lines: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = models / "bench"
    bench.mkdir()
    (bench / "question.jsonl").write_text("\n".join(lines), encoding="utf-8")
    error = fails(flags(models, f"--bench-name={bench}"), capsys)
    assert re.search("question.jsonl" + expected, error), error


def test_an_output_folder_that_holds_another_model_is_left_alone(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = models / "other"
    shutil.copytree(models / "target", output)
    before = sorted(path.name for path in output.iterdir())
    error = fails(flags(models, f"--output-dir={output}"), capsys)
    assert "--overwrite" in error
    assert sorted(path.name for path in output.iterdir()) == before
    assert run(flags(models, f"--output-dir={output}", "--overwrite")) == 0
    assert (output / "tvmerge.json").exists()


@pytest.mark.parametrize("where", ["run", ".", "demo-bench", "earlier", "runs"])
def test_no_overwriting_destroys_a_study_or_its_questions(
    models: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = models / "demo-bench"
    bench.mkdir()
    for earlier in ("earlier", "runs/earlier"):
        (models / earlier).mkdir(parents=True)
        (models / earlier / ".study").write_text("earlier\n", encoding="utf-8")
    row = {"question_id": 1, "category": "a", "turns": ["1+1?"]}
    (bench / "question.jsonl").write_text(json.dumps(row), encoding="utf-8")
    more = [f"--output-dir={models / where}", "--overwrite", f"--bench-name={bench}", "--holdout=0"]
    assert "choose a separate folder" in fails(flags(models, *more), capsys)
    assert (bench / "question.jsonl").exists()


def test_a_run_folder_keeps_one_study(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flags(models)) == 0
    assert "holds the study" in fails(flags(models, "--study-name=other"), capsys)


def test_a_run_that_is_refused_does_not_claim_its_folder(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(flags(models, "--study-name=other", "--bench-name=no-such-bench"), capsys)
    assert run(flags(models)) == 0


def test_a_study_is_not_written_by_two_runs_at_once(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tvmerge._util.locking import locked

    storage = f"--storage=sqlite:///{models / 'shared' / 's.db'}"
    with locked(models / "shared", ".s.db.lock"):
        assert "another tvmerge is using" in fails(flags(models, storage), capsys)
    assert run(flags(models, storage)) == 0


def test_a_trial_is_not_written_from_other_models(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(flags(models, "--study-name=s")) == 0
    spoil_tensor(models / "tuned", "model.norm.weight", lambda t: t + 1)
    argv = ["merge", f"--storage=sqlite:///{models / 'run' / 'study.db'}", "--study-name=s", "--trial=0"]
    assert "tuned changed since the study was run" in fails([*argv, f"--output-dir={models / 'o'}"], capsys)
    assert not (models / "o").exists()


@pytest.mark.parametrize("changed", ["tuned", "bench", "tokens"])
def test_a_study_is_not_resumed_with_other_models_questions_or_settings(
    models: Path, changed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags(models)) == 0
    more = []
    if changed == "tuned":
        spoil_tensor(models / "tuned", "model.norm.weight", lambda t: t + 1)
    elif changed == "bench":
        bench = models / "demo"
        bench.mkdir()
        row = {"question_id": 1, "category": "a", "turns": ["1+1?"], "split": "search"}
        (bench / "question.jsonl").write_text(json.dumps(row), encoding="utf-8")
        more = [f"--bench-name={bench}", "--holdout=0"]
    else:
        more = ["--max-new-tokens=5"]
    error = fails(flags(models, *more), capsys)
    named = {"tuned": "tuned was", "bench": "benchmark was demo", "tokens": "max_new_tokens was 4, is 5"}
    assert named[changed] in error


def test_a_config_file_is_checked_by_key_and_type(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = models / "run.toml"
    config.write_text("n_trails = 3\n", encoding="utf-8")
    error = fails(flags(models, f"--config={config}"), capsys)
    assert "unknown key n_trails (did you mean n_trials?); known: " in error
    config.write_text('n_trials = "3"\n', encoding="utf-8")
    assert "n_trials must be int, got str '3'" in fails(flags(models, f"--config={config}"), capsys)


def test_a_second_run_in_the_same_folder_is_refused(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tvmerge._util.locking import locked

    with locked(models / "run"):
        assert "another tvmerge is using" in fails(flags(models), capsys)
    assert run(flags(models)) == 0


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "one of --weight, --weights or --trial; got none"),
        (["--weight=1", "--trial=1"], "got --weight and --trial"),
        (["--weight=1"], "missing: --target-model"),
        (["--trial=1"], "--trial needs --run-dir, or --storage and --study-name"),
        (["--run-dir=runs/none"], "there is no run folder runs/none"),
        (
            ["--run-dir=runs", "--weight=1"],
            "--run-dir is for a trial of that run; leave it out",
        ),
        (["--trial=1", "--storage=sqlite:///none.db", "--study-name=x"], "there is no study database"),
    ],
)
def test_merge_says_what_it_needs(
    tmp_path: Path, argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = fails(["merge", f"--output-dir={tmp_path / 'out'}", *argv], capsys)
    assert expected in error
    assert not (tmp_path / "out").exists()


def test_weights_with_a_wrong_name_write_nothing(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.json"
    weights.write_text('{"layers.99": 1}', encoding="utf-8")
    argv = ["merge", *[f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]]
    error = fails([*argv, f"--weights={weights}", f"--output-dir={tmp_path / 'out'}"], capsys)
    assert "layers.99" in error
    assert not (tmp_path / "out").exists()
