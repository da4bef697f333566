"""Structures are learnt from configurations alone, of decoder-only language models alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import PreTrainedConfig

from tests.merging.families import FAMILIES, config_of, saved_model
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.arrangement import Place
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.structure import read_structure, structure_of


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_transformers_saves_has_its_place(family: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint(saved_model(tmp_path / family, family))
    structure = checkpoint.structure
    arrangement = structure.arrange(checkpoint.specs)
    assert (arrangement.missing, arrangement.extra, structure.layers) == ((), (), 2)
    assert sorted(arrangement.names.values()) == sorted(checkpoint.specs)
    for own, name in arrangement.names.items():
        place = structure.place(own)
        assert place is not None
        assert place.shape == checkpoint.specs[name].shape
        assert (f".{place.layer}." in name) if place.section == "layers" else place.layer is None


def test_sections_are_found_by_position() -> None:
    structure = structure_of(config_of("gpt2"), "model")
    assert structure.place("transformer.wpe.weight") == Place("embeddings", None, (64, 32), is_float=True)
    assert structure.place("transformer.h.1.mlp.c_fc.bias") == Place("layers", 1, (128,), is_float=True)
    assert structure.place("transformer.ln_f.weight") == Place("norm", None, (32,), is_float=True)


def test_a_head_of_its_own_is_a_section_and_a_tied_one_is_the_embeddings() -> None:
    free = structure_of(config_of("llama"), "model")
    tied = structure_of(config_of("llama", tie_word_embeddings=True), "model")
    assert (place := free.place("lm_head.weight")) is not None
    assert place.section == "head"
    assert tied.aliases == {"lm_head.weight": "model.embed_tokens.weight"}
    assert tied.place("lm_head.weight") == tied.place("model.embed_tokens.weight")


def test_names_without_the_models_prefix_are_understood() -> None:
    structure = structure_of(config_of("gpt2"), "model")
    bare = [name.removeprefix("transformer.") for name in structure.layouts[0]]
    arrangement = structure.arrange([*bare, "h.0.attn.bias"])
    assert arrangement.missing == ()
    assert arrangement.names["transformer.h.0.ln_1.weight"] == "h.0.ln_1.weight"
    assert arrangement.extra == ("h.0.attn.bias",)


def test_a_tied_tensor_kept_under_its_second_name_is_found() -> None:
    structure = structure_of(config_of("llama", tie_word_embeddings=True), "model")
    names = [name for name in structure.layouts[0] if name != "model.embed_tokens.weight"]
    arrangement = structure.arrange([*names, "lm_head.weight"])
    assert arrangement.missing == ()
    assert arrangement.names["model.embed_tokens.weight"] == "lm_head.weight"


def test_a_second_copy_of_a_tied_tensor_is_told_from_an_unused_one() -> None:
    structure = structure_of(config_of("llama", tie_word_embeddings=True), "model")
    arrangement = structure.arrange([*structure.layouts[0], "lm_head.weight", "rotary.inv_freq"])
    assert arrangement.duplicates == {"lm_head.weight": "model.embed_tokens.weight"}
    assert arrangement.extra == ("rotary.inv_freq",)


def test_both_ways_to_store_experts_are_known() -> None:
    structure = structure_of(config_of("mixtral"), "model")
    old, new = (
        "model.layers.1.block_sparse_moe.experts.2.w1.weight",
        "model.layers.1.mlp.experts.gate_up_proj",
    )
    fused, single = structure.layouts
    assert (new in fused, structure.own_names([old])[old] in single) == (True, True)
    assert structure.arrange(fused).missing == structure.arrange(single).missing == ()


def test_what_is_missing_is_told_in_the_layout_that_fits_best() -> None:
    structure = structure_of(config_of("mixtral"), "model")
    lost = "model.layers.1.mlp.experts.2.w1.weight"
    assert structure.arrange(name for name in structure.layouts[1] if name != lost).missing == (lost,)


def test_no_memory_is_taken_for_weights() -> None:
    huge = config_of("mistral", hidden_size=2**16, intermediate_size=2**18, num_hidden_layers=80)
    structure = structure_of(huge, "model")  # 17 TB in bfloat16
    assert structure.layers == 80


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (transformers.T5Config(num_layers=2), "T5ForConditionalGeneration is not .* it has an encoder"),
        (transformers.BertConfig(num_hidden_layers=2), "BertForMaskedLM is not .* it fills masks"),
        (
            transformers.ViTConfig(num_hidden_layers=2),
            "ViTForImageClassification is not .* no causal language model",
        ),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(config: PreTrainedConfig, reason: str) -> None:
    config.architectures = [reason.split(maxsplit=1)[0]]
    with pytest.raises(CheckpointError, match=f"^mine: {reason}"):
        structure_of(config, "mine")


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no_such_family"}))
    with pytest.raises(CheckpointError, match=r"mine: its config\.json is not usable: .*no_such_family"):
        read_structure(tmp_path, "mine")


def test_a_setting_of_another_type_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "num_attention_heads": "4"}))
    with pytest.raises(
        CheckpointError, match=r"^mine: its config\.json is not usable: .*heads.* expected int"
    ):
        read_structure(tmp_path, "mine")


_CODE = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM

class OddConfig(LlamaConfig):
    model_type = "odd"

class OddModel(LlamaForCausalLM):
    config_class = OddConfig
"""


def test_a_models_own_code_runs_only_where_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "odd.py").write_text(_CODE)
    config = config_of("llama").to_dict() | {
        "model_type": "odd",
        "auto_map": {"AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.OddModel"},
    }
    (folder / "config.json").write_text(json.dumps(config, default=str))
    with pytest.raises(CheckpointError, match="pass --trust-remote-code"):
        read_structure(folder, "odd")
    assert read_structure(folder, "odd", trust_remote_code=True).architecture == "OddModel"


def test_learning_a_structure_leaves_the_default_device_alone() -> None:
    structure_of(config_of("llama"), "model")
    assert torch.empty(1).device.type == "cpu"


def test_what_runs_behind_the_layers_is_no_embedding() -> None:
    structure = structure_of(config_of("opt"), "model")
    sections = {
        own.removeprefix("model.decoder."): place.section for own, place in structure.layouts[0].items()
    }
    assert sections["embed_positions.weight"] == sections["project_in.weight"] == "embeddings"
    assert sections["final_layer_norm.weight"] == sections["project_out.weight"] == "norm"
    bloom = structure_of(
        transformers.BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4), "model"
    )
    place = bloom.place("transformer.word_embeddings_layernorm.weight")
    assert place is not None
    assert place.section == "embeddings"


def test_where_a_decoder_does_not_run_without_memory_position_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(transformers.models.gpt2.modeling_gpt2.GPT2Model, "forward", fails)
    structure = structure_of(config_of("gpt2"), "model")
    assert structure.place("transformer.wpe.weight") == Place("embeddings", None, (64, 32), is_float=True)
    assert structure.place("transformer.ln_f.weight") == Place("norm", None, (32,), is_float=True)
