"""Several task vectors, made sparse or not, against the formulas written plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.merging.families import saved_model
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging import plan
from tvmerge.merging.deltas import Stored, chunks
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.methods.dare import Dropped
from tvmerge.merging.methods.ties import elect, trim
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("vectors")
    return [saved_model(root / name, "llama", seed=seed) for seed, name in enumerate("abcdef")]


def _vector(folders: list[Path], tuned: int, base: int, **settings: Any) -> TaskVector:
    return TaskVector(tuned=str(folders[tuned]), base=str(folders[base]), **settings)


def _open(folders: list[Path], *vectors: TaskVector, **settings: Any) -> Merge:
    return open_request(MergeRequest(targets=(str(folders[0]),), vectors=vectors, **settings))


def _states(folders: list[Path]) -> list[State]:
    return [
        {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        for folder in folders
    ]


def test_vectors_are_summed_before_they_are_added_each_with_weights_of_its_own(folders: list[Path]) -> None:
    merge = _open(
        folders,
        _vector(folders, 1, 2, name="chat"),
        _vector(folders, 3, 4, name="code", rules=GroupRules("uniform")),
    )
    assert merge.group_names == (
        *("chat/embeddings", "code/uniform", "chat/layers.0", "chat/layers.1", "chat/norm", "chat/head"),
    )
    recipe = {name: 0.3 * index - 0.4 for index, name in enumerate(merge.group_names)}
    target, chat, chat_base, code, code_base, _ = _states(folders)
    for name, tensor in merge.merger.merge(Recipe(recipe)):
        section = {
            "model.embed_tokens.weight": "embeddings",
            "model.norm.weight": "norm",
            "lm_head.weight": "head",
        }
        weight = recipe[f"chat/{section.get(name) or 'layers.' + name.split('.')[2]}"]
        step = (chat[name] - chat_base[name]) * weight
        step = step + (code[name] - code_base[name]) * recipe["code/uniform"]
        assert torch.equal(tensor, (target[name] + step).bfloat16()), name


def test_a_vector_may_move_parts_that_another_leaves_alone(folders: list[Path]) -> None:
    merge = _open(
        folders,
        _vector(folders, 1, 2, name="a", rules=GroupRules(freeze=("lm_head", "embed"))),
        _vector(folders, 3, 4, name="b", rules=GroupRules("regex", (("mlp", "mlp"), ("head", "lm_head")))),
    )
    assert merge.group_names == ("a/layers.0", "b/mlp", "a/layers.1", "a/norm", "b/head")
    assert [remark.line() for remark in merge.remarks()][-3:] == [
        "no weight of a: model.embed_tokens.weight (frozen by 'embed')",
        "no weight of a: lm_head.weight (frozen by 'lm_head')",
        "no weight of b: model.embed_tokens.weight, model.layers.0.self_attn.q_proj.weight, "
        "model.layers.0.self_attn.k_proj.weight, model.layers.0.self_attn.v_proj.weight and 10 more "
        "(no pattern fits)",
    ]


def test_weights_are_searched_within_each_vectors_own_range(folders: list[Path]) -> None:
    merge = _open(
        folders,
        _vector(folders, 1, 2, name="a", rules=GroupRules("uniform"), weight_min=-1.0, weight_max=1.0),
        _vector(folders, 3, 4, name="b", rules=GroupRules("uniform"), method="ties", density=(0.1, 0.9)),
    )
    assert merge.ranges(0.0, 2.0) == {
        "a/uniform": (-1.0, 1.0),
        "b/uniform": (0.0, 2.0),
        "b/density": (0.1, 0.9),
    }
    assert merge.group_names == ("a/uniform", "b/uniform", "b/density")


def _trimmed(delta: torch.Tensor, density: float) -> torch.Tensor:
    keep = max(1, int(density * delta.numel()))
    order = torch.sort(delta.abs().view(-1), descending=True, stable=True).indices[:keep]
    mask = torch.zeros(delta.numel())
    mask[order] = 1
    return delta * mask.view_as(delta)


def test_ties_trims_elects_and_sums_what_agrees(folders: list[Path]) -> None:
    uniform = GroupRules("uniform")
    merge = _open(
        folders,
        *(
            _vector(folders, tuned, 0, name=name, method="ties", density=density, rules=uniform)
            for name, tuned, density in (("a", 1, 0.3), ("b", 2, 0.7), ("c", 3, 1.0))
        ),
    )
    weights = {"a": 0.9, "b": 0.5, "c": 1.3}
    base, *tuned = _states(folders)
    for name, tensor in merge.merger.merge(Recipe({f"{key}/uniform": w for key, w in weights.items()})):
        parts = [
            _trimmed(state[name] - base[name], density) * weight
            for state, density, weight in zip(tuned, (0.3, 0.7, 1.0), weights.values(), strict=False)
        ]
        stacked = torch.stack(parts)
        sign = torch.where(stacked.sum(0) >= 0, 1.0, -1.0)
        step = (stacked * (stacked.sign() == sign)).sum(0)
        assert torch.equal(tensor, (base[name] + step).bfloat16()), name


def test_a_searched_density_is_a_named_number_of_the_recipe(folders: list[Path]) -> None:
    vector = _vector(folders, 1, 0, method="ties", density=(0.2, 0.8), rules=GroupRules("uniform"))
    merge = _open(folders, vector)
    assert merge.group_names == ("uniform", "density")
    base, tuned, *_ = _states(folders)
    for density in (0.25, 0.75):
        merged = dict(merge.merger.merge(Recipe({"uniform": 1.0, "density": density})))
        for name, tensor in merged.items():
            assert torch.equal(tensor, (base[name] + _trimmed(tuned[name] - base[name], density)).bfloat16())
    with pytest.raises(CheckpointError, match=r"'density' is 1.5 and must be in \[0, 1\]"):
        merge.merger.merge(Recipe({"uniform": 1.0, "density": 1.5}))


def test_dare_keeps_the_mean_and_depends_on_seed_and_names_alone(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    uniform = GroupRules("uniform")
    vector = _vector(folders, 1, 2, method="dare", density=0.25, rules=uniform)
    recipe = Recipe({"uniform": 1.0})
    first = dict(_open(folders, vector, seed=3, dtype="float32").merger.merge(recipe))
    target, tuned, base, *_ = _states(folders)
    kept = total = 0
    for name, tensor in first.items():
        full = (tuned[name] - base[name]) / 0.25
        moved = tensor != target[name]
        assert torch.equal(tensor[moved], (target[name] + full)[moved]), name
        kept, total = kept + int(moved.sum()), total + moved.numel()
    assert kept / total == pytest.approx(0.25, abs=0.02)
    lazy = _open(folders, vector, seed=3, dtype="float32")
    monkeypatch.setattr(lazy.merger, "resident", False)
    assert all(torch.equal(tensor, first[name]) for name, tensor in lazy.merger.merge(recipe))
    other = dict(_open(folders, vector, seed=4, dtype="float32").merger.merge(recipe))
    assert any(not torch.equal(tensor, first[name]) for name, tensor in other.items())


def test_tensors_are_split_between_workers_only_where_order_does_not_matter(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART", 100)
    for settings in ({}, {"method": "ties", "density": 0.5}, {"method": "dare", "density": 0.5}):
        whole, split = (_open(folders, _vector(folders, 1, 2, **settings)) for _ in range(2))
        monkeypatch.setattr(split.merger, "resident", False)
        recipe = Recipe(dict.fromkeys(whole.group_names, 0.7))
        expected = dict(whole.merger.merge(recipe))
        assert all(torch.equal(tensor, expected[name]) for name, tensor in split.merger.merge(recipe))


@given(
    values=st.lists(st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1e-30, 3e38]), min_size=1, max_size=60),
    density=st.floats(0.01, 1),
    chunk=st.integers(1, 7),
)
def test_trimming_a_stream_keeps_what_a_stable_sort_would(
    values: list[float], density: float, chunk: int
) -> None:
    rows = torch.tensor(values).view(-1, 1)
    reader = trim(Stored(rows).open(), density, (len(values), 1), chunk)
    out, spare = torch.empty(2, len(values), 1).unbind()
    for part in chunks(len(values), chunk):
        reader.read(part, out[part], spare[part])
    assert torch.equal(out, _trimmed(rows, density))


@given(seed=st.integers(0, 2**63 - 1), chunk=st.integers(1, 50), low=st.floats(0.1, 0.5))
def test_dropping_does_not_depend_on_chunks_and_nests_over_densities(
    seed: int, chunk: int, low: float
) -> None:
    rows = torch.ones(100, 3)
    out = torch.empty(2, 100, 3)
    for index, (density, size) in enumerate(((low, chunk), (0.5, 100))):
        reader = Dropped(Stored(rows).open(), density, seed)
        for part in chunks(100, size):
            reader.read(part, out[index][part], torch.empty_like(out[index][part]))
    assert torch.all((out[0] == 0) | (out[1] != 0)), "what a lower density keeps, a higher one keeps too"
    assert set(out[1].view(-1).tolist()) <= {0.0, 2.0}


def test_a_tie_of_signs_counts_as_positive() -> None:
    step = elect([torch.tensor([[1.0, 2.0, -3.0]]), torch.tensor([[-1.0, -1.0, 1.0]])])
    assert step.tolist() == [[1.0, 2.0, -3.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "slerp"}, "unknown method 'slerp'; known: dare, linear, ties"),
        ({"density": 0.5}, "density needs method ties or dare"),
        ({"method": "ties", "density": 0.0}, "density must be in"),
        ({"method": "ties", "density": (0.9, 0.1)}, "density must be in"),
        ({"weight_min": 2.0, "weight_max": 1.0}, "do not form a range"),
        ({"weight_max": float("nan")}, "do not form a range"),
    ],
)
def test_settings_of_a_vector_that_make_no_sense_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TaskVector(tuned="tuned", base="base", **settings)


@pytest.mark.parametrize(
    ("names", "message"), [(("a", "a"), "unique name"), (("a", "b/c"), "must not contain '/'")]
)
def test_names_of_vectors_must_tell_them_apart(names: tuple[str, ...], message: str) -> None:
    vectors = tuple(TaskVector(tuned="tuned", base="base", name=name) for name in names)
    with pytest.raises(ConfigError, match=message):
        MergeRequest(targets=("target",), vectors=vectors)


def test_a_request_survives_the_way_through_json(folders: list[Path]) -> None:
    rules = GroupRules("regex", (("mlp", "mlp"),), freeze=("norm",))
    merge = _open(
        folders,
        _vector(folders, 1, 2, name="a", rules=rules, method="dare", density=(0.5, 0.9)),
        _vector(folders, 3, 4, name="b", rules=GroupRules(knots=2), weight_min=-1.0),
        seed=9,
        dtype="float16",
    )
    stored = json.loads(json.dumps(merge.resolved.to_json()))
    again = open_request(MergeRequest.from_json(stored))
    assert again.request == merge.resolved
    assert (again.group_names, again.fingerprint) == (merge.group_names, merge.fingerprint)


def test_smoothed_weights_are_interpolated_in_the_merge(folders: list[Path], tmp_path: Path) -> None:
    deep = [saved_model(tmp_path / n, "llama", seed=s, num_hidden_layers=3) for s, n in enumerate("tub")]
    vector = TaskVector(tuned=str(deep[1]), base=str(deep[2]), rules=GroupRules(knots=2))
    merge = open_request(MergeRequest(targets=(str(deep[0]),), vectors=(vector,)))
    recipe = {"embeddings": 0.0, "knots.0": 0.2, "knots.1": 1.0, "norm": 0.0, "head": 0.0}
    target, tuned, base = _states(deep)
    merged = dict(merge.merger.merge(Recipe(recipe)))
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(merged[name], (target[name] + 0.6 * (tuned[name] - base[name])).bfloat16())


@pytest.mark.parametrize(
    ("settings", "sparse"),
    [
        ([{}], ""),
        ([{"method": "ties", "density": 0.2}], "TIES, density 0.2"),
        ([{"method": "dare", "density": 0.5}], "DARE, density 0.5"),
        ([{"method": "ties", "density": (0.2, 0.6)}], "TIES, density 0.6"),
        ([{"method": "dare", "density": (0.2, 1.0)}], ""),
        ([{"method": "ties"}], ""),
        ([{}, {}], ""),
        ([{"method": "ties"}, {"method": "ties"}], "TIES"),
        ([{"method": "ties", "density": 0.2}, {}], "v0: TIES, density 0.2; v1: plain"),
    ],
)
def test_what_weight_1_adds_is_told_where_it_is_not_the_plain_vector(
    folders: list[Path], settings: list[dict[str, Any]], sparse: str
) -> None:
    names = [f"v{number}" if len(settings) > 1 else "" for number in range(len(settings))]
    uniform = GroupRules("uniform")
    vectors = [
        _vector(folders, 1, 0, name=name, rules=uniform, **more)
        for name, more in zip(names, settings, strict=True)
    ]
    assert _open(folders, *vectors).sparse == sparse
