"""Models that do not fit are refused before any weight is read, every tensor named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.families import saved_model
from tvmerge.errors import CheckpointError
from tvmerge.merging.additions import OpenVector
from tvmerge.merging.align import Aligned, align
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.request import TaskVector, Vocabulary


def _model(tmp_path: Path, name: str, family: str = "llama", **changes: Any) -> Checkpoint:
    return Checkpoint(saved_model(tmp_path / name, family, **changes))


def _changed(checkpoint: Checkpoint, folder: Path, changes: dict[str, torch.Tensor | None]) -> Checkpoint:
    shutil.copytree(checkpoint.folder, folder)
    weights = load_file(folder / "model.safetensors") | changes
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")
    return Checkpoint(folder)


def _aligned(
    target: Checkpoint, base: Checkpoint, tuned: Checkpoint, vocabulary: Vocabulary = "align"
) -> Aligned:
    settings = TaskVector(tuned=tuned.name, base=base.name)
    return align(target, [OpenVector(settings, base, tuned)], vocabulary=vocabulary)


def test_three_alike_models_are_laid_side_by_side(llamas: tuple[Checkpoint, Checkpoint, Checkpoint]) -> None:
    aligned = _aligned(*llamas)
    assert [row.name for row in aligned.rows] == list(llamas[0].structure.layouts[0])
    assert all(operand.name == row.name for row in aligned.rows for operand in row.terms[0].delta.operands)
    assert (aligned.unchanged, aligned.extra, aligned.idle) == ((), (), {"": {}})


def test_another_family_is_refused(llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path) -> None:
    target, base, _ = llamas
    with pytest.raises(CheckpointError, match=r"m is a MistralForCausalLM .* of one family"):
        _aligned(target, base, _model(tmp_path, "m", "mistral"))


def test_another_number_of_layers_is_refused(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, _ = llamas
    with pytest.raises(CheckpointError, match="deep has 3 layers, target has 2"):
        _aligned(target, base, _model(tmp_path, "deep", num_hidden_layers=3))


def test_another_vocabulary_names_sizes_and_tensors(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    _, base, tuned = llamas
    extended = _model(tmp_path, "extended", vocab_size=80)
    with pytest.raises(CheckpointError) as caught:
        _aligned(extended, base, tuned, "error")
    message = str(caught.value)
    assert "vocabularies differ: extended 80, base 64, tuned 64" in message
    for model in ("base", "tuned"):
        assert f"model.embed_tokens.weight is [64, 32] in {model} and [80, 32] in extended" in message
        assert f"lm_head.weight is [64, 32] in {model} and [80, 32] in extended" in message


def test_every_tensor_of_another_shape_is_named(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, _ = llamas
    wide = _model(tmp_path, "wide", intermediate_size=56)
    with pytest.raises(CheckpointError) as caught:
        _aligned(target, base, wide)
    message = str(caught.value)
    assert "vocabularies" not in message
    for layer in range(2):
        for kind in ("gate", "up"):
            name = f"model.layers.{layer}.mlp.{kind}_proj.weight"
            assert f"{name} is [56, 32] in wide and [48, 32] in target" in message


def test_biases_only_one_model_has_are_named(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, tuned = llamas
    biased = _model(tmp_path, "biased", attention_bias=True)
    with pytest.raises(CheckpointError, match=r"biased has model\.layers\.0\.self_attn\.q_proj\.bias"):
        _aligned(target, base, biased)
    with pytest.raises(CheckpointError, match=r"tuned has no model\.layers\.1\.self_attn\.k_proj\.bias"):
        _aligned(biased, biased, tuned)


def test_a_tied_tuned_model_lends_its_embeddings_to_a_free_head(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, _ = llamas
    aligned = _aligned(target, base, _model(tmp_path, "tied", tie_word_embeddings=True))
    head = next(row for row in aligned.rows if row.name == "lm_head.weight")
    assert [o.name for o in head.terms[0].delta.operands] == ["model.embed_tokens.weight", "lm_head.weight"]


def test_a_file_that_lacks_tensors_is_refused_with_all_their_names(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, tuned = llamas
    holed = _changed(tuned, tmp_path / "holed", {"model.norm.weight": None, "lm_head.weight": None})
    with pytest.raises(CheckpointError, match=r"holed .*has no model\.norm\.weight; has no lm_head\.weight"):
        _aligned(target, base, holed)


def test_a_file_at_odds_with_its_configuration_is_refused(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, tuned = llamas
    odd = _changed(tuned, tmp_path / "odd", {"model.norm.weight": torch.zeros(33)})
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is \[33\] and should be \[32\]"):
        _aligned(target, base, odd)


def test_integer_weights_are_refused(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, tuned = llamas
    odd = _changed(tuned, tmp_path / "odd", {"model.norm.weight": torch.zeros(32, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is I8 and should be a float"):
        _aligned(target, base, odd)


def test_tensors_the_model_does_not_use_neither_hinder_nor_move(
    llamas: tuple[Checkpoint, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    target, base, tuned = llamas
    old = _changed(target, tmp_path / "old", {"model.layers.0.rotary.inv_freq": torch.ones(4)})
    aligned = _aligned(old, base, tuned)
    assert aligned.unchanged == aligned.extra == ("model.layers.0.rotary.inv_freq",)
    assert _aligned(target, base, old).extra == ()


def test_experts_stored_in_two_ways_are_told(tmp_path: Path) -> None:
    old = _model(tmp_path, "old", "mixtral")
    new = Checkpoint(
        saved_model(tmp_path / "new", "mixtral", save={"save_original_format": False}), name="new"
    )
    with pytest.raises(CheckpointError, match="new is stored in a different layout from old: model"):
        _aligned(old, old, new)
