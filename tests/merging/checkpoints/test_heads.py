"""Prediction heads, which transformers does not load, take part in a merge without a weight of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.families import saved_model
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.live import load_into
from tvmerge.merging.merge import Merge
from tvmerge.merging.open import open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

HEAD = {
    "mtp.fc.weight": (32, 64),
    "mtp.layers.0.self_attn.q_proj.weight": (32, 32),
    "mtp.layers.0.mlp.down_proj.weight": (32, 48),
    "mtp.norm.weight": (32,),
}


def _with(folder: Path, shapes: Mapping[str, tuple[int, ...]], seed: int) -> Path:
    torch.manual_seed(seed)
    weights = load_file(folder / "model.safetensors")
    weights |= {name: torch.randn(shape).bfloat16() for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _folders(tmp_path: Path, family: str = "qwen3_5", **shapes: Mapping[str, tuple[int, ...]]) -> list[Path]:
    return [
        _with(saved_model(tmp_path / name, family, seed=seed), shapes.get(name, HEAD), seed)
        for seed, name in enumerate(("target", "base", "tuned"))
    ]


def _merge(folders: list[Path], rules: GroupRules | None = None) -> Merge:
    target, base, tuned = map(str, folders)
    vector = TaskVector(tuned=tuned, base=base, rules=rules or GroupRules())
    return open_request(MergeRequest(targets=(target,), vectors=(vector,)))


@pytest.mark.parametrize(
    ("rules", "shares"),
    [
        (GroupRules(), {"layers.1": 1.0}),
        (GroupRules("block"), {"layers.1.self_attn": 0.5, "layers.1.mlp": 0.5}),
        (GroupRules("uniform"), {"uniform": 1.0}),
        (
            GroupRules("regex", patterns=(("first", r"layers\.0"), ("out", "lm_head"))),
            {"first": 0.5, "out": 0.5},
        ),
    ],
)
def test_a_head_has_the_mean_of_the_last_layers_weights(
    rules: GroupRules, shares: dict[str, float], tmp_path: Path
) -> None:
    merge = _merge(_folders(tmp_path), rules)
    rows = {row.name: row for row in merge.merger.plan.rows}
    assert {name for name in rows if name in HEAD} == HEAD.keys()
    assert all(dict(rows[name].terms[0].share) == shares for name in HEAD)


def test_a_head_is_summed_as_the_formula_says(tmp_path: Path) -> None:
    folders = _folders(tmp_path)
    merge = _merge(folders)
    recipe = Recipe({name: 0.25 * index for index, name in enumerate(merge.group_names)})
    write_merge(merge, tmp_path / "out", recipe)
    target, base, tuned, out = (load_file(f / "model.safetensors") for f in (*folders, tmp_path / "out"))
    for name in HEAD:
        step = recipe.weights["layers.1"] * (tuned[name].float() - base[name].float())
        assert torch.equal(out[name], (target[name].float() + step).bfloat16()), name
    assert out.keys() == target.keys()


def test_a_head_has_no_dimension_and_no_place_in_the_live_model(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    folders = _folders(tmp_path)
    merge = _merge(folders, GroupRules("all"))
    assert not any("mtp" in name for name in merge.group_names)
    live = AutoModelForImageTextToText.from_pretrained(folders[0])
    recipe = Recipe(dict.fromkeys(merge.group_names, 1.0))
    load_into(live, merge.merger.merge(recipe), ignore=merge.merger.extra)


def test_what_became_of_a_head_is_said(tmp_path: Path) -> None:
    lines = [remark.line() for remark in _merge(_folders(tmp_path)).remarks()]
    assert any(line.startswith("weighted as the last layer") and "mtp.fc.weight" in line for line in lines)
    partly = _folders(tmp_path / "b", tuned={}, base={**HEAD, "mtp.norm.weight": (16,)})
    lines = [remark.line() for remark in _merge(partly).remarks()]
    assert any("mtp.fc.weight" in line and line.endswith("(tuned has none)") for line in lines)


def test_a_head_of_another_shape_stays(tmp_path: Path) -> None:
    folders = _folders(tmp_path, base={**HEAD, "mtp.norm.weight": (16,)})
    (idle,) = _merge(folders).merger.plan.idle.values()
    assert {name: why for name, why in idle.items() if "mtp" in name} == {
        "mtp.norm.weight": "of another shape in base"
    }


def test_a_head_can_be_frozen(tmp_path: Path) -> None:
    merge = _merge(_folders(tmp_path), GroupRules(freeze=("^mtp",)))
    assert all(not row.terms for row in merge.merger.plan.rows if row.name in HEAD)


def test_layers_behind_the_last_one_are_a_head(tmp_path: Path) -> None:
    further = {"model.layers.2.eh_proj.weight": (32, 64), "model.layers.2.self_attn.q_proj.weight": (32, 32)}
    folder = _with(saved_model(tmp_path / "glm", "llama"), further, 0)
    assert set(Checkpoint(folder).heads.values()) == further.keys()


@pytest.mark.parametrize(
    "unused",
    [
        {"model.layers.0.self_attn.rotary_emb.inv_freq": (4,)},
        {"model.rotary_emb.inv_freq": (4,)},
        {"model.layers.0.self_attn.mask": (1, 1, 32, 32)},
        {"model.visual.patch_embed.weight": (16, 3, 14, 14), "model.visual.blocks.0.qkv.weight": (48, 16)},
    ],
)
def test_other_unused_tensors_are_no_heads(unused: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    assert not Checkpoint(_with(saved_model(tmp_path / "old", "llama"), unused, 0)).heads
