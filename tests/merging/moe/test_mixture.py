"""Mixtures of experts: the right parts in the right places, every weight alive, the router kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.export.merge_folder import write_experts, write_merge
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.live import load_into, new_model
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import ExpertPrompts, MergeRequest, MixtureSettings, TaskVector
from tvmerge.records import Recipe

_WORDS = [f"w{number}" for number in range(64)]
_FAMILIES = ("llama", "mistral", "qwen3")


def _models(root: Path, family: str, count: int = 5, **changes: Any) -> list[Path]:
    folders = [saved_model(root / f"m{seed}", family, seed=seed, **changes) for seed in range(count)]
    for folder in folders:
        save_tokenizer(folder, _WORDS, eos_token="w2")
    return folders


@pytest.fixture(scope="module", params=_FAMILIES)
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three targets, a base and a tuned model."""
    return _models(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _models(tmp_path_factory.mktemp("llamas"), "llama")


def _open(
    targets: Sequence[Path], old: Path, new: Path, *, rules: GroupRules | None = None, **mixture: Any
) -> Merge:
    vector = TaskVector(tuned=str(new), base=str(old), rules=rules or GroupRules())
    settings = MixtureSettings(**mixture)
    return open_request(MergeRequest(targets=tuple(map(str, targets)), vectors=(vector,), mixture=settings))


def _uneven(merge: Merge) -> Recipe:
    return Recipe({name: 0.1 + 0.07 * index for index, name in enumerate(merge.group_names)})


def _load(folder: Path) -> Any:
    factory: Any = AutoModelForCausalLM
    model, report = factory.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model


def test_every_part_comes_from_its_model_with_its_weight(folders: list[Path], tmp_path: Path) -> None:
    *targets, base, tuned = folders
    merge = _open(targets, base, tuned)
    recipe = _uneven(merge)
    write_merge(merge, tmp_path / "out", recipe)
    mixture = _load(tmp_path / "out").state_dict()
    states = [load_file(folder / "model.safetensors") for folder in folders]

    def expected(model: int, name: str) -> torch.Tensor:
        part = {"embed_tokens": "embeddings", "norm": "norm", "lm_head": "head"}.get(name.split(".")[-2])
        group = f"layers.{name.split('.')[2]}" if "layers" in name else part
        delta = states[4][name].float() - states[3][name].float()
        return (states[model][name].float() + recipe.weights[f"experts.{model}/{group}"] * delta).bfloat16()

    for name in states[0]:
        head, mlp, matrix = name.partition(".mlp.")
        if not mlp:
            assert torch.equal(mixture[name], expected(0, name)), name
            continue
        fused = f"{head}.mlp.experts.{'down_proj' if 'down' in matrix else 'gate_up_proj'}"
        for expert in range(3):
            rows = mixture[fused][expert]
            half = rows if "down" in matrix else rows[:48] if "gate" in matrix else rows[48:]
            assert torch.equal(half, expected(expert, name)), (name, expert)


def test_a_mixture_of_one_model_answers_as_that_model(folders: list[Path], tmp_path: Path) -> None:
    target, _, _, base, tuned = folders
    merge = _open([target, target], base, tuned)
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.0)))
    mixture, dense = _load(tmp_path / "out").float(), _load(target).float()
    tokens = torch.tensor([[3, 5, 7, 11, 13]])
    with torch.no_grad():
        torch.testing.assert_close(mixture(tokens).logits, dense(tokens).logits, rtol=1e-4, atol=1e-4)
    assert mixture.generate(tokens, max_new_tokens=4, do_sample=False).shape == (1, 9)


@pytest.mark.parametrize("mode", ["layer", "parameter", "block", "all"])
def test_no_weight_is_dead(llamas: list[Path], mode: Any) -> None:
    *targets, base, tuned = llamas
    merge = _open(targets, base, tuned, rules=GroupRules(mode))
    plain = dict(merge.merger.merge(Recipe(dict.fromkeys(merge.group_names, 0.0))))
    for moved in merge.group_names:
        recipe = Recipe({name: float(name == moved) for name in merge.group_names})
        changed = {n for n, t in merge.merger.merge(recipe) if not torch.equal(t, plain[n])}
        assert changed, moved


def test_experts_share_the_first_models_weights_where_they_have_none(llamas: list[Path]) -> None:
    *targets, base, tuned = llamas
    assert sorted(_open(targets, base, tuned).group_names) == sorted(
        [f"experts.0/{group}" for group in ("embeddings", "layers.0", "layers.1", "norm", "head")]
        + [f"experts.{expert}/layers.{layer}" for expert in (1, 2) for layer in (0, 1)]
    )
    names = _open(targets, base, tuned, rules=GroupRules("parameter")).group_names
    assert {name for name in names if not name.startswith("experts.0/")} == {
        f"experts.{expert}/{matrix}_proj" for expert in (1, 2) for matrix in ("gate", "up", "down")
    }


def test_embeddings_attention_and_norms_can_come_from_another_model(llamas: list[Path]) -> None:
    shared, one, two, base, tuned = llamas
    merge = _open([one, two], base, tuned, base=str(shared))
    assert {name.split("/")[0] for name in merge.group_names} == {"shared", "experts.0", "experts.1"}
    merged = dict(merge.merger.merge(Recipe(dict.fromkeys(merge.group_names, 0.0))))
    own, first = (load_file(folder / "model.safetensors") for folder in (shared, one))
    name = "model.layers.1.self_attn.q_proj.weight"
    assert torch.equal(merged[name], own[name])
    expert = "model.layers.1.block_sparse_moe.experts.0.w2.weight"
    assert torch.equal(merged[expert], first["model.layers.1.mlp.down_proj.weight"])
    assert merge.resolved.mixture.base == str(shared.resolve())


def test_the_live_mixture_is_changed_in_place_and_is_what_is_written(
    folders: list[Path], tmp_path: Path
) -> None:
    *targets, base, tuned = folders
    merge = _open(targets, base, tuned)
    assert merge.config is not None
    live = new_model(merge.config, dtype=torch.bfloat16)
    addresses = {name: parameter.data_ptr() for name, parameter in live.named_parameters()}
    for recipe in (Recipe(dict.fromkeys(merge.group_names, 0.0)), _uneven(merge)):
        load_into(live, merge.merger.merge(recipe))
    assert addresses == {name: parameter.data_ptr() for name, parameter in live.named_parameters()}
    write_merge(merge, tmp_path / "out", _uneven(merge))
    written = _load(tmp_path / "out").state_dict()
    assert all(torch.equal(tensor, written[name]) for name, tensor in live.state_dict().items())
    assert any("gate.weight" in name and tensor.any() for name, tensor in written.items())


def test_the_configuration_leaves_no_gap_for_a_default(tmp_path: Path) -> None:
    rope = {"rope_type": "default", "rope_theta": 12345.0}
    folders = _models(tmp_path, "llama", 3, rope_parameters=rope, rms_norm_eps=1e-4, tie_word_embeddings=True)
    merge = _open(folders[:2], folders[1], folders[2], experts_per_token=1)
    write_merge(merge, tmp_path / "out", _uneven(merge))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    expected = {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "rope_theta": 12345.0,
        "rope_parameters": rope,
        "rms_norm_eps": 1e-4,
        "max_position_embeddings": 64,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "vocab_size": 64,
        "eos_token_id": 2,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "sliding_window": None,
        "dtype": "bfloat16",
    }
    assert {key: config.get(key) for key in expected} == expected
    assert str(tmp_path) not in json.dumps(config)
    _load(tmp_path / "out")


def test_experts_can_be_written_as_dense_models(llamas: list[Path], tmp_path: Path) -> None:
    *targets, base, tuned = llamas
    merge = _open(targets, base, tuned)
    recipe = _uneven(merge)
    written = write_experts(merge, tmp_path / "dense", recipe)
    assert [folder.name for folder in written] == ["expert-0", "expert-1", "expert-2"]
    old, new, own = (load_file(folder / "model.safetensors") for folder in (base, tuned, targets[1]))
    got = _load(written[1]).state_dict()
    for name, weight in (
        ("model.layers.1.mlp.up_proj.weight", recipe.weights["experts.1/layers.1"]),
        ("model.embed_tokens.weight", recipe.weights["experts.0/embeddings"]),
    ):
        exact = own[name].float() + weight * (new[name].float() - old[name].float())
        assert torch.equal(got[name], exact.bfloat16()), name


_EVERY_RULE = {
    "layer": GroupRules("layer"),
    "block": GroupRules("block"),
    "parameter": GroupRules("parameter"),
    "all": GroupRules("all"),
    "uniform": GroupRules("uniform"),
    "knots": GroupRules("layer", knots=2),
    "joined": GroupRules("block", layer_granularity=2),
    "frozen": GroupRules("layer", freeze=("lm_head", r"1\.mlp")),
    "regex": GroupRules("regex", (("attention", "self_attn"), ("rest", "mlp|norm"))),
}


@pytest.mark.parametrize(("rules", "separate"), [*((rules, False) for rules in _EVERY_RULE), ("layer", True)])
def test_an_expert_as_a_dense_model_gets_what_the_mixture_adds_to_each_part(
    llamas: list[Path], tmp_path: Path, rules: str, separate: bool
) -> None:
    donor, one, two, base, tuned = llamas
    targets = [one, two] if separate else [donor, one]
    plain = TaskVector(name="a", tuned=str(tuned), base=str(base), rules=_EVERY_RULE[rules])
    vectors = (plain, replace(plain, name="b", tuned=str(two), method="dare", density=0.5))
    settings = MixtureSettings(base=str(donor) if separate else None)
    merge = open_request(
        MergeRequest(
            targets=tuple(map(str, targets)), vectors=vectors, mixture=settings, dtype="float32", seed=3
        )
    )
    recipe = _uneven(merge)
    mixture = dict(merge.merger.merge(recipe))
    shared = load_file(donor / "model.safetensors")
    for number, (folder, target) in enumerate(
        zip(write_experts(merge, tmp_path, recipe), targets, strict=True)
    ):
        got, own = load_file(folder / "model.safetensors"), load_file(target / "model.safetensors")
        for name, tensor in got.items():
            head, mlp, matrix = name.partition(".mlp.")
            if mlp:
                kept = {"gate_proj.weight": "w1", "down_proj.weight": "w2", "up_proj.weight": "w3"}[matrix]
                assert torch.equal(
                    tensor, mixture[f"{head}.block_sparse_moe.experts.{number}.{kept}.weight"]
                ), name
            else:
                step = mixture[name] - shared[name].float()
                torch.testing.assert_close(tensor - own[name].float(), step, rtol=1e-4, atol=1e-6, msg=name)


def test_the_router_does_not_depend_on_the_recipe_and_is_part_of_the_fingerprint(llamas: list[Path]) -> None:
    *targets, base, tuned = llamas
    one, two = (_open(targets, base, tuned, seed=seed) for seed in (1, 2))
    gates = [
        {n: t for n, t in one.merger.merge(recipe) if "gate.weight" in n}
        for recipe in (_uneven(one), Recipe(dict.fromkeys(one.group_names, 1.0)))
    ]
    assert len(gates[0]) == 2
    assert all(torch.equal(tensor, gates[1][name]) for name, tensor in gates[0].items())
    assert one.fingerprint["plan"] != two.fingerprint["plan"]
    assert one.fingerprint == _open(targets, base, tuned, seed=1).fingerprint


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("llama", {"attention_bias": True}, "m0: it has biases, which MixtralForCausalLM cannot express"),
        ("llama", {"mlp_bias": True}, "m0: it has biases"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            r"its rotary embeddings are scaled \(linear\)",
        ),
        ("gemma2", {}, "m0 is a gemma2; mixtures are made from llama, mistral or qwen3"),
    ],
)
def test_what_a_mixture_cannot_express_is_refused(
    tmp_path: Path, family: str, changes: dict[str, Any], message: str
) -> None:
    folders = _models(tmp_path, family, 3, **changes)
    with pytest.raises(CheckpointError, match=message):
        _open(folders[:2], folders[1], folders[2])


def test_experts_that_do_not_fit_each_other_are_refused(llamas: list[Path], tmp_path: Path) -> None:
    target, _, _, base, tuned = llamas
    narrow = _models(tmp_path / "narrow", "llama", 1, intermediate_size=40)[0]
    with pytest.raises(
        CheckpointError, match=r"mlp\.gate_proj\.weight is \[40, 32\] in narrow/m0 and \[48, "
    ):
        _open([target, narrow], base, tuned)
    other = Path(shutil.copytree(target, tmp_path / "other"))
    save_tokenizer(other, _WORDS[::-1], eos_token="w2")
    with pytest.raises(CheckpointError, match="number their tokens differently, and a mixture has one"):
        _open([target, other], base, tuned)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"experts_per_token": 4}, "must be in \\[1, 3\\]"),
        ({"gate": "zeros"}, "would send every token to the same 2 of 3 experts"),
        ({"gate": "cheap"}, "gate must be one of"),
        ({"gate": "hidden"}, "needs them for each expert"),
        ({"gate": "hidden", "prompts": (ExpertPrompts(positive=("w3",)),)}, "prompts for 3 experts, got 1"),
        ({"gate": "hidden", "prompts": (ExpertPrompts(positive=()),) * 3}, "at least one positive prompt"),
        ({"prompts": (ExpertPrompts(positive=("w3",)),) * 3}, "prompts are for gate hidden"),
    ],
)
def test_settings_of_a_mixture_that_make_no_sense_are_refused(
    llamas: list[Path], settings: dict[str, Any], message: str
) -> None:
    *targets, base, tuned = llamas
    with pytest.raises(ConfigError, match=message):
        _open(targets, base, tuned, **settings)


def test_one_target_takes_no_settings_of_a_mixture(llamas: list[Path]) -> None:
    target, _, _, base, tuned = llamas
    with pytest.raises(ConfigError, match="need two target models or more"):
        _open([target], base, tuned, gate="uniform")
