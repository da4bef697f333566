"""Models without memory: built from a configuration alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers

from tvmerge.errors import CheckpointError
from tvmerge.pretrained.empty_model import empty_model, read_empty_model

SMALL = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "tie_word_embeddings": True,
}


def test_a_model_is_built_without_memory_and_untied_on_demand(tmp_path: Path) -> None:
    stated = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **SMALL}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    found = read_empty_model(tmp_path, "mine", stated)
    assert {tensor.device.type for tensor in found.model.state_dict().values()} == {"meta"}
    assert (found.config.model_type, found.text, found.stands_alone) == ("llama", found.config, True)
    embeddings, head = "model.embed_tokens.weight", "lm_head.weight"
    for untied in (False, True):
        state = read_empty_model(tmp_path, "mine", stated, untied=untied).model.state_dict()
        storages = {int(state[name].untyped_storage()._cdata) for name in (embeddings, head)}
        assert len(storages) == 1 + untied


def test_a_model_that_is_not_a_decoder_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^mine: t5 is not a decoder-only .*: it has an encoder"):
        empty_model(transformers.T5Config(num_layers=1), "mine")


def test_a_configuration_that_transformers_cannot_read_is_refused(tmp_path: Path) -> None:
    stated = {"model_type": "llama", "auto_map": {"AutoConfig": "own.Config"}, "hidden_size": "8"}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=r"^mine: its config\.json is not usable: "):
        read_empty_model(tmp_path, "mine", stated)
    unknown = {**stated, "model_type": "no_such_family"}
    (tmp_path / "config.json").write_text(json.dumps(unknown))
    with pytest.raises(CheckpointError, match=r"^mine: brings modelling code of its own; pass --trust-"):
        read_empty_model(tmp_path, "mine", unknown)


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"model_type": ["llama"]},
        {"model_type": {"llama": 1}, "auto_map": {}},
        {"model_type": "t5", "architectures": 1, "num_layers": 1},
        {"model_type": "t5", "architectures": [1, "T5Model"], "num_layers": 1},
    ],
    ids=["nothing", "list", "object", "number of architectures", "mixed architectures"],
)
def test_a_configuration_with_values_of_wrong_types_is_refused(
    tmp_path: Path, stated: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=r"^mine: "):
        read_empty_model(tmp_path, "mine", stated, trust_remote_code=True)
