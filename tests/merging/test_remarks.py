"""What a merge says of tensors that vectors are not simply added to: whole, with the reason, per vector."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.merging.checkpoints.lora.adapters import saved_adapter
from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.cli.app import run
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.remarks import Remark, listing
from tvmerge.merging.request import MergeRequest, TaskVector


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three targets, a base and a tuned model."""
    root = tmp_path_factory.mktemp("remarks")
    made = [saved_model(root / f"m{seed}", "llama", seed=seed) for seed in range(5)]
    for folder in made:
        save_tokenizer(folder, [f"w{number}" for number in range(64)], eos_token="w2")
    return made


def _open(targets: list[Path], *vectors: TaskVector) -> Merge:
    return open_request(MergeRequest(targets=tuple(map(str, targets)), vectors=vectors))


def _by_text(merge: Merge) -> dict[str, set[str]]:
    return {f"{r.text} ({r.reason})": set(r.names) for r in merge.remarks()}


def test_a_few_names_are_said_in_the_line_and_many_are_counted_and_listed() -> None:
    few, many = Remark("left", ("a", "b"), "so"), Remark("left", tuple("abcdefg"), "so")
    assert few.line("list.txt") == "left: a, b (so)"
    assert listing([few]) is None
    assert many.line() == "left: a, b, c, d and 3 more (so)"
    assert many.line("list.txt") == "left: a, b, c, d and 3 more (so); all are in list.txt"
    assert listing([Remark("told"), many]) == "told\n\nleft (so):\n" + "".join(f"  {n}\n" for n in "abcdefg")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft calls what is deprecated
def test_each_vectors_tensors_are_told_with_the_reason_that_holds_for_it(
    folders: list[Path], tmp_path: Path
) -> None:
    adapter = saved_adapter(folders[3], tmp_path / "adapter", target_modules=["q_proj"])
    frozen = GroupRules(freeze=("lm_head",))
    merge = _open(
        folders[:1],
        TaskVector(name="chat", tuned=str(folders[4]), base=str(folders[3]), rules=frozen),
        TaskVector(name="code", tuned=str(folders[1]), base=str(folders[3]), rules=frozen),
        TaskVector(name="lora", tuned=str(adapter), base=str(folders[3])),
    )
    told = _by_text(merge)
    assert told["no weight of chat and code (frozen by 'lm_head')"] == {"lm_head.weight"}
    every = set(merge.merger.specs)
    unadapted = told["no weight of lora (adapter does not adapt it)"]
    assert unadapted == {name for name in every if "q_proj" not in name}
    assert len(told) == 2


def test_a_mixture_gives_the_reason_of_every_frozen_part(folders: list[Path]) -> None:
    *targets, base, tuned = folders
    rules = GroupRules(freeze=("lm_head", r"mlp\.up_proj", r"0\.self_attn"))
    merge = _open(targets, TaskVector(tuned=str(tuned), base=str(base), rules=rules))
    told = _by_text(merge)
    without = {row.name for row in merge.merger.plan.rows if not row.terms}
    assert told == {
        "no weight, as in the target (frozen by 'lm_head')": {"lm_head.weight"},
        r"no weight, as in the target (frozen by 'mlp\\.up_proj')": {
            f"model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight"
            for layer in range(2)
            for expert in range(3)
        },
        r"no weight, as in the target (frozen by '0\\.self_attn')": {
            f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkvo"
        },
        "the same for every weight, since they are the mixture's routers ()": {
            f"model.layers.{layer}.block_sparse_moe.gate.weight" for layer in range(2)
        },
    }
    assert without == {name for text, names in told.items() if "no weight" in text for name in names}


def test_what_is_too_long_for_a_line_is_listed_beside_the_model(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    roles = [
        f"--{role}-model={folder}"
        for role, folder in zip(("target", "base", "tuned"), folders[2:], strict=True)
    ]
    freeze = ["--freeze=layernorm", "--freeze=lm_head"]
    assert run(["merge", *roles, *freeze, "--weight=1", f"--output-dir={out}"]) == 0
    assert "all are in" not in capsys.readouterr().err
    assert run(["merge", *roles, "--freeze=proj", "--weight=1", f"--output-dir={out}", "--overwrite"]) == 0
    assert f"and 10 more (frozen by 'proj'); all are in {out / 'remarks.txt'}" in capsys.readouterr().err
    listed = (out / "remarks.txt").read_text()
    assert listed.startswith("no weight, as in the target (frozen by 'proj'):\n")
    assert listed.count("_proj.weight\n") == 14
    assert "and 10 more (frozen by 'proj'); all are in `remarks.txt`" in (out / "README.md").read_text()


def test_a_run_lists_them_in_its_folder(
    demo_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
    settings = ["--bench-name=demo", "--judge=rules", "--n-trials=1", "--max-new-tokens=2", "--holdout=0"]
    folder = tmp_path / "run"
    assert run(["optimize", *roles, *settings, "--freeze=proj", f"--run-dir={folder}", "--study-name=s"]) == 0
    assert "all are in" in capsys.readouterr().err
    listed = (folder / "remarks.txt").read_text()
    assert listed == (folder / "model" / "remarks.txt").read_text()
    assert "  model.layers.0.mlp.down_proj.weight\n" in listed
