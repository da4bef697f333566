"""Models that also see are merged as far as they are language models, whatever names their tensors have.

Several modules: names, structure, groups and export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from tests.merging.families import config_of, saved_model
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import open_merge
from tvmerge.records import Recipe

Tensors = Mapping[str, torch.Tensor]
WRAPPERS = (
    *("qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen2_5_vl", "mistral3"),
    *("gemma3", "gemma4", "llama4", "llava"),
)
PARTS = ("target", "base", "tuned")
_TIED = '"tie_word_embeddings":'
_NESTINGS = ("language_model.model.", "model.language_model.", "language_model.", "model.")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for file in folder.glob("*.safetensors") for name, t in load_file(file).items()}


def _inner(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Tensors by what they are called within the language model."""
    return {
        next((name.removeprefix(p) for p in _NESTINGS if name.startswith(p)), name): tensor
        for name, tensor in tensors.items()
    }


def _renamed(folder: Path, rename: Callable[[str], str]) -> Path:
    weights = {rename(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _merged(folders: Sequence[Path], out: Path) -> dict[str, torch.Tensor]:
    target, base, tuned = folders
    merge = open_merge(str(target), str(base), str(tuned), "layer")
    write_merge(merge, out, Recipe(dict.fromkeys(merge.group_names, 0.5)))
    return _weights(out)


def _sum(target: torch.Tensor, base: torch.Tensor, tuned: torch.Tensor) -> torch.Tensor:
    return (target.float() + 0.5 * (tuned.float() - base.float())).to(target.dtype)


def _assert_summed(out: Tensors, *sources: Tensors) -> None:
    """Whether the language model is the formula's, and everything else the target's."""
    merged, target, base, tuned = map(_inner, (out, *sources))
    assert merged.keys() == target.keys()
    for key, tensor in merged.items():
        seen = any(part in key for part in ("visual", "vision", "multi_modal_projector"))
        expected = target[key] if seen else _sum(target[key], base[key], tuned[key])
        assert torch.equal(tensor, expected), key


@pytest.mark.parametrize("family", WRAPPERS)
def test_the_language_model_is_merged_and_all_classes_load_the_whole(family: str, tmp_path: Path) -> None:
    folders = [saved_model(tmp_path / n, family, seed=s) for s, n in enumerate(PARTS)]
    out = _merged(folders, tmp_path / "out")
    _assert_summed(out, *map(_weights, folders))
    assert out.keys() == _weights(folders[0]).keys()
    classes: tuple[Any, ...] = (AutoModelForImageTextToText, AutoModelForCausalLM)
    for factory in classes:
        if type(config_of(family)) in factory._model_mapping:
            _, report = factory.from_pretrained(tmp_path / "out", output_loading_info=True)
            assert not report["missing_keys"]


def test_a_sharded_wrapper_is_merged_like_one_in_a_file(tmp_path: Path) -> None:
    folders = [
        saved_model(tmp_path / n, "qwen3_vl", seed=s, save={"max_shard_size": "20KB"})
        for s, n in enumerate(PARTS)
    ]
    assert len(list(folders[0].glob("*.safetensors"))) > 1
    _assert_summed(_merged(folders, tmp_path / "out"), *map(_weights, folders))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kinds", ["wrapper wrapper text", "text wrapper wrapper", "wrapper text text"])
def test_a_text_model_and_its_wrapper_are_one_language_model(kinds: str, tied: bool, tmp_path: Path) -> None:
    family = {"wrapper": "qwen3_5", "text": "qwen3_5_text"}
    folders = [
        saved_model(tmp_path / part, family[kind], seed=seed, tie_word_embeddings=tied)
        for seed, (part, kind) in enumerate(zip(PARTS, kinds.split(), strict=True))
    ]
    _assert_summed(_merged(folders, tmp_path / "out"), *map(_weights, folders))


@pytest.mark.parametrize("nesting", ["model.language_model.", "language_model.model.", "decoder.model."])
def test_a_text_model_under_a_wrappers_names_is_found(nesting: str, tmp_path: Path) -> None:
    target, base, tuned = (
        saved_model(tmp_path / n, f, seed=s)
        for s, (n, f) in enumerate((("target", "gemma3"), ("base", "gemma3"), ("tuned", "gemma3_text")))
    )
    plain = _weights(tuned)
    _renamed(tuned, lambda name: nesting + name.removeprefix("model."))
    _assert_summed(_merged((target, base, tuned), tmp_path / "out"), _weights(target), _weights(base), plain)
    out = _merged((tuned, tuned, tuned), tmp_path / "own")
    assert out.keys() == plain.keys(), "written as its configuration says"


def test_old_and_new_names_of_a_wrapper_are_one(tmp_path: Path) -> None:
    old, new, newer = (
        saved_model(tmp_path / n, "mistral3", seed=s, save={"save_original_format": n == "old"})
        for s, n in enumerate(("old", "new", "newer"))
    )
    assert "language_model.lm_head.weight" in _weights(old)
    assert "model.language_model.norm.weight" in _weights(new)
    out = _merged((old, new, newer), tmp_path / "out")
    target, base, tuned = map(_inner, map(_weights, (old, new, newer)))
    key = "layers.1.mlp.up_proj.weight"
    assert torch.equal(_inner(out)[key], _sum(target[key], base[key], tuned[key]))


def test_a_decoder_of_wrappers_alone_takes_what_a_text_model_like_it_learnt(
    tmp_path: Path,
) -> None:
    target = saved_model(tmp_path / "target", "qwen2_5_vl")
    base, tuned = (saved_model(tmp_path / n, "qwen2", seed=s) for s, n in enumerate(("base", "tuned"), 1))
    _assert_summed(_merged((target, base, tuned), tmp_path / "out"), *map(_weights, (target, base, tuned)))
    other = saved_model(tmp_path / "other", "qwen3")
    with pytest.raises(CheckpointError, match=r"other has no model\.language_model\.layers\.0\.self_attn"):
        _merged((target, base, other), tmp_path / "out")


def test_a_decoder_that_also_stands_alone_is_of_its_own_family(tmp_path: Path) -> None:
    target = saved_model(tmp_path / "target", "llava")
    mistral = saved_model(tmp_path / "mistral", "mistral")
    with pytest.raises(CheckpointError, match=r"mistral is a MistralForCausalLM .* of one family"):
        _merged((target, mistral, mistral), tmp_path / "out")


@pytest.mark.parametrize("leftover", ["module.", "_orig_mod.", "module._orig_mod.", "base_model.model."])
def test_what_training_left_before_names_is_seen_through(leftover: str, tmp_path: Path) -> None:
    target, base, tuned = (saved_model(tmp_path / n, "gemma3", seed=s) for s, n in enumerate(PARTS))
    plain = [_weights(folder) for folder in (target, base, tuned)]
    for folder in (target, tuned):
        _renamed(folder, lambda name: leftover + name)
    _assert_summed(_merged((target, base, tuned), tmp_path / "out"), *plain)


def test_what_training_left_within_names_is_seen_through(tmp_path: Path) -> None:
    folders = [saved_model(tmp_path / n, "llama", seed=s) for s, n in enumerate(PARTS)]
    plain = [_weights(folder) for folder in folders]
    _renamed(folders[2], lambda name: name.replace("layers.1.", "layers.1._checkpoint_wrapped_module."))
    _assert_summed(_merged(folders, tmp_path / "out"), *plain)


def test_names_that_do_not_match_are_shown(tmp_path: Path) -> None:
    folder = _renamed(saved_model(tmp_path / "odd", "llama"), lambda name: name.replace("mlp", "ffn"))
    with pytest.raises(CheckpointError) as caught:
        _merged((folder, folder, folder), tmp_path / "out")
    assert "has no model.layers.0.mlp.gate_proj.weight" in str(caught.value)
    assert "nor 2 more; it has model.layers.0.ffn.down_proj.weight" in str(caught.value)


def test_a_further_layer_never_stands_in_for_a_lost_one(tmp_path: Path) -> None:
    folder = _renamed(
        saved_model(tmp_path / "odd", "llama"),
        lambda name: (
            "mtp.layers.0.mlp.up_proj.weight" if name == "model.layers.0.mlp.up_proj.weight" else name
        ),
    )
    weights = load_file(folder / "model.safetensors")
    weights["mtp.layers.0.mlp.down_proj.weight"] = weights["model.layers.0.mlp.down_proj.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"odd does not match .* has no model\.layers\.0\.mlp\.up_proj"):
        _merged((folder, folder, folder), tmp_path / "out")


def test_a_head_with_weights_of_its_own_is_not_tied(tmp_path: Path) -> None:
    folders = [saved_model(tmp_path / n, "mistral3", seed=s) for s, n in enumerate(PARTS)]
    for folder in folders:
        config = folder / "config.json"
        config.write_text(
            config.read_text().replace('"tie_word_embeddings": false', '"tie_word_embeddings": true')
        )
    _assert_summed(_merged(folders, tmp_path / "out"), *map(_weights, folders))
    assert f"{_TIED} true" not in (tmp_path / "out" / "config.json").read_text()


def test_experts_that_transformers_turns_are_merged_as_they_lie(tmp_path: Path) -> None:
    folders = [saved_model(tmp_path / n, "qwen3_vl_moe", seed=s) for s, n in enumerate(PARTS)]
    for folder in folders:
        turned = {n: t.mT.contiguous() if "experts" in n else t for n, t in _weights(folder).items()}
        save_file(turned, folder / "model.safetensors", metadata={"format": "pt"})
    _assert_summed(_merged(folders, tmp_path / "out"), *map(_weights, folders))
    other = saved_model(tmp_path / "other", "qwen3_vl_moe")
    with pytest.raises(CheckpointError, match=r"other is stored in a different layout .*gate_up_proj"):
        _merged((folders[0], folders[1], other), tmp_path / "out")


def test_a_wrapper_without_its_tower_is_told(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "blind", "qwen3_5")
    kept = {name: tensor for name, tensor in _weights(folder).items() if "visual" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = Checkpoint(folder)
    assert all(name.startswith("model.visual.") for name in checkpoint.arrangement.missing)
