"""mergekit itself, run as a program, writes the same model from the exported `mergekit.yml`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.merging.export.merge_folder import write_experts, write_merge
from tvmerge.merging.export.mergekit import selecting
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.open import open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

_VENV = Path(os.environ.get("TVMERGE_MERGEKIT_VENV", Path(__file__).parents[3] / ".venv-mergekit"))
_SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 512}

needs_mergekit = pytest.mark.skipif(
    not (_VENV / "bin" / "mergekit-yaml").exists(),
    reason="mergekit is not installed in .venv-mergekit (or TVMERGE_MERGEKIT_VENV): make test-mergekit",
)


def _run(program: str, *arguments: str, cwd: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(_VENV / "bin" / program), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `target`, `base`, `chat` and `code`, in bfloat16."""
    root = tmp_path_factory.mktemp("mergekit")
    for name, step in (("base", 0.0), ("target", 0.1), ("chat", 0.1), ("code", 0.1)):
        folder = saved_model(root / name, "llama", seed=1, **_SIZES)
        generator = torch.Generator().manual_seed(sum(name.encode()))
        state = load_file(folder / "model.safetensors")
        # Tuning moves weights a little: models that have nothing in common would compare noise near zero.
        moved = {
            n: t * (1 + step * torch.randn(t.shape, generator=generator)).bfloat16() for n, t in state.items()
        }
        save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
        save_tokenizer(folder, [f"w{i}" for i in range(512)])
    return root


def _state(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def _assert_nearly_equal(ours: Path, theirs: Path) -> None:
    """Equal on 99.99% of elements, within one unit in the last place on the rest."""
    mine, other = _state(ours), _state(theirs)
    assert mine.keys() == other.keys()
    unequal = total = 0
    for name, tensor in mine.items():
        assert tensor.dtype == other[name].dtype == torch.bfloat16, name
        apart = (_ordered(tensor) - _ordered(other[name])).abs()
        assert int(apart.max()) <= 1, name
        unequal, total = unequal + int((apart > 0).sum()), total + tensor.numel()
    assert unequal <= 1e-4 * total


def _ordered(tensor: torch.Tensor) -> torch.Tensor:
    """Integers in the order of the floats, neighbours one apart."""
    bits = tensor.view(torch.int16).int()
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)


def _request(root: Path, *vectors: tuple[str, str], target: str = "target", **settings: Any) -> MergeRequest:
    return MergeRequest(
        targets=(str(root / target),),
        vectors=tuple(
            TaskVector(
                tuned=str(root / tuned),
                base=str(root / base),
                name=tuned if len(vectors) > 1 else "",
                **settings,
            )
            for tuned, base in vectors
        ),
    )


def _assert_mergekit_writes_the_same(request: MergeRequest, root: Path, out: Path) -> None:
    _write_both(request, root, out)
    _assert_nearly_equal(out / "ours", out / "theirs")


def _write_both(request: MergeRequest, root: Path, out: Path) -> None:
    merge = open_request(request)
    weights = {name: 0.3 + 0.13 * (index % 9) for index, name in enumerate(merge.group_names)}
    write_merge(merge, out / "ours", Recipe(weights))
    files = [str(out / "ours" / "mergekit.yml"), str(out / "theirs")]
    # Its model card would ask the hub about the models' names.
    _run("mergekit-yaml", *files, "--no-write-model-card", cwd=root)


@needs_mergekit
@pytest.mark.parametrize(
    "rules",
    [
        GroupRules("layer"),
        GroupRules("parameter"),
        GroupRules("all"),
        GroupRules("block"),
        GroupRules(knots=2),
    ],
    ids=["layer", "parameter", "all", "block", "smooth"],
)
def test_mergekit_writes_the_same_model(root: Path, tmp_path: Path, rules: GroupRules) -> None:
    _assert_mergekit_writes_the_same(_request(root, ("chat", "base"), rules=rules), root, tmp_path)


@needs_mergekit
def test_mergekit_writes_the_same_model_of_several_vectors(root: Path, tmp_path: Path) -> None:
    _assert_mergekit_writes_the_same(_request(root, ("chat", "base"), ("code", "base")), root, tmp_path)


@needs_mergekit
def test_mergekits_ties_is_the_same_where_no_two_magnitudes_are(root: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("base", "chat", "code"):
        folder = Path(shutil.copytree(root / name, tmp_path / name))
        state = load_file(folder / "model.safetensors")
        fine = {n: t.float() + 1e-3 * torch.randn(t.shape, generator=generator) for n, t in state.items()}
        save_file(fine, folder / "model.safetensors", metadata={"format": "pt"})
    _assert_mergekit_writes_the_same(_ties(tmp_path, dtype="bfloat16"), tmp_path, tmp_path)


@needs_mergekit
def test_mergekits_ties_differs_at_most_where_a_magnitude_is_that_of_the_last_element_kept(
    root: Path, tmp_path: Path
) -> None:
    # In bfloat16 many differences are equally large. mergekit's sort keeps any of those, tvmerge the first.
    request = _ties(root)
    _write_both(request, root, tmp_path)
    mine, other = _state(tmp_path / "ours"), _state(tmp_path / "theirs")
    unequal = total = other_choice = 0
    for name, tensor in mine.items():
        tied = _at_threshold(root, name, request.vectors)
        apart = (_ordered(tensor) - _ordered(other[name])).abs()
        assert int(apart[~tied].max()) <= 1, name
        unequal, total = unequal + int((apart[~tied] > 0).sum()), total + int((~tied).sum())
        other_choice += int((apart[tied] > 1).sum())
    assert unequal <= 1e-4 * total
    assert 0 < other_choice < 0.01 * total


def _ties(root: Path, **options: Any) -> MergeRequest:
    vectors = tuple(
        TaskVector(tuned=str(root / name), base=str(root / "base"), name=name, method="ties", density=0.4)
        for name in ("chat", "code")
    )
    return MergeRequest(targets=(str(root / "base"),), vectors=vectors, **options)


def _at_threshold(root: Path, name: str, vectors: tuple[TaskVector, ...]) -> torch.Tensor:
    """Which elements of a tensor have, in any vector, just the magnitude of the smallest one that is kept."""
    base = load_file(root / "base" / "model.safetensors")[name].float()
    tied = torch.zeros_like(base, dtype=torch.bool)
    for vector in vectors:
        size = (load_file(Path(vector.tuned) / "model.safetensors")[name].float() - base).abs()
        assert isinstance(vector.density, float)
        kept = max(1, int(vector.density * size.numel()))
        tied |= size == size.view(-1).sort(descending=True).values[kept - 1]
    return tied


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        ("ties", "target", "mergekit's ties knows only models that were tuned from the target itself"),
        ("dare", "base", "other random numbers"),
    ],
)
def test_the_card_says_why_mergekit_cannot_do_it(
    root: Path, tmp_path: Path, method: str, target: str, message: str
) -> None:
    merge = open_request(_request(root, ("chat", "base"), target=target, method=method, density=0.5))
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 1.0)))
    assert not (tmp_path / "out" / "mergekit.yml").exists()
    assert f"There is no `mergekit.yml`: {message}" in (tmp_path / "out" / "README.md").read_text().replace(
        "mergekit draws the elements that dare drops from ", ""
    )


def test_names_within_names_cannot_be_told_to_mergekit(root: Path, tmp_path: Path) -> None:
    # A checkpoint of the model below the head leaves out the prefix `model.`.
    for name in ("target", "base", "chat"):
        folder = Path(shutil.copytree(root / name, tmp_path / name))
        bare = {n.removeprefix("model."): t for n, t in load_file(folder / "model.safetensors").items()}
        save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    merge = open_request(_request(tmp_path, ("chat", "base")))
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 1.0)))
    assert not (tmp_path / "out" / "mergekit.yml").exists()
    assert "some name is part of another" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("mode", ["layer", "parameter", "block", "all"])
def test_filters_select_just_the_tensors_of_their_group(root: Path, mode: str) -> None:
    merge = open_request(_request(root, ("chat", "base"), rules=GroupRules(mode)))
    names = [row.name for row in merge.merger.plan.rows]
    groups: dict[str, list[str]] = {}
    for row in merge.merger.plan.rows:
        groups.setdefault(row.terms[0].share[0][0], []).append(row.name)
    for tensors in groups.values():
        filters = selecting(tensors, names)
        assert [name for name in names if any(text in name for text in filters)] == tensors
        assert len(filters) <= len(tensors)


@needs_mergekit
def test_mergekit_moe_makes_the_same_mixture_but_for_its_gates(root: Path, tmp_path: Path) -> None:
    merge = open_request(
        MergeRequest(
            targets=tuple(str(root / name) for name in ("target", "code")),
            vectors=(TaskVector(tuned=str(root / "chat"), base=str(root / "base")),),
        )
    )
    recipe = Recipe({name: 0.2 + 0.1 * index for index, name in enumerate(merge.group_names)})
    write_merge(merge, tmp_path / "ours", recipe)
    dense = write_experts(merge, tmp_path / "dense", recipe)
    experts = "".join(f"  - {{source_model: {folder}, positive_prompts: []}}\n" for folder in dense)
    config = tmp_path / "moe.yml"
    config.write_text(f"base_model: {dense[0]}\ngate_mode: random\ndtype: bfloat16\nexperts:\n{experts}")
    flags = ["--i-understand-this-is-not-useful-without-training"]
    _run("mergekit-moe", str(config), str(tmp_path / "theirs"), *flags, cwd=root)
    factory: Any = AutoModelForCausalLM
    ours, theirs = (factory.from_pretrained(tmp_path / name).state_dict() for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if name.endswith("mlp.gate.weight"):
            assert (tensor.shape, tensor.dtype) == (theirs[name].shape, theirs[name].dtype)
        else:
            assert torch.equal(tensor, theirs[name]), name
