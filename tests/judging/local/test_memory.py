"""What a local judge will take, against what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, CohereConfig

from tvmerge.errors import CheckpointError
from tvmerge.judging.local.memory import memory_by_device, weight_bytes
from tvmerge.judging.local.transformers import placement
from tvmerge.judging.spec import JudgeSpec
from tvmerge.tasks.judged import judge_memory

_Model: Any = AutoModelForCausalLM


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Command-R in miniature with tied embeddings, in bfloat16."""
    path = tmp_path_factory.mktemp("footprint") / "tiny"
    config = CohereConfig(
        vocab_size=64,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(0)
    _Model.from_config(config, dtype=torch.bfloat16).save_pretrained(path, max_shard_size="200KB")
    return path


def spec_of(model: Path | str, **settings: Any) -> JudgeSpec:
    return JudgeSpec("tiny", "local", model=str(model), **{"device_map": "cpu", **settings})


@pytest.mark.parametrize("dtype", ["auto", "float32", "float16"])
def test_weights_are_counted_as_they_are_loaded(folder: Path, dtype: str) -> None:
    spec = spec_of(folder, dtype=dtype)
    model = _Model.from_pretrained(folder, **placement(spec))
    assert len([*folder.glob("model-*.safetensors")]) > 1
    assert weight_bytes(spec) == sum(p.numel() * p.element_size() for p in model.parameters())


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_what_bitsandbytes_makes_of_them_is_foreseen(folder: Path, quantization: str) -> None:
    pytest.importorskip("bitsandbytes")
    spec = spec_of(folder, quantization=quantization)
    model = _Model.from_pretrained(folder, **placement(spec))
    taken = model.get_memory_footprint(return_buffers=False)
    # transformers leaves out the scales.
    assert taken <= weight_bytes(spec) <= 1.15 * taken


def test_what_is_stored_in_whole_numbers_stays_as_it_is(tmp_path: Path) -> None:
    save_file({"model.layers.0.w": torch.zeros(30, 40, dtype=torch.uint8)}, tmp_path / "model.safetensors")
    assert weight_bytes(spec_of(tmp_path, dtype="float32")) == 1200


def test_only_what_is_here_and_local_is_counted(tmp_path: Path, folder: Path) -> None:
    assert weight_bytes(spec_of("CohereForAI/c4ai-command-r-plus-4bit")) == 0
    assert weight_bytes(spec_of(tmp_path)) == 0
    assert judge_memory([JudgeSpec("api", "openai", model=str(folder))]) == {}


def test_a_model_in_the_hubs_cache_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = folder.parent / "hub"
    snapshot = cache / "models--owner--tiny" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(folder)
    (cache / "models--owner--tiny" / "refs").mkdir()
    (cache / "models--owner--tiny" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert weight_bytes(spec_of("owner/tiny")) == weight_bytes(spec_of(folder)) > 0
    assert weight_bytes(spec_of("owner/tiny@other")) == 0


@pytest.mark.parametrize(
    ("device_map", "max_memory", "gpus", "devices"),
    [
        ("auto", {}, 0, ["cpu"]),
        ("auto", {}, 2, ["cuda:0", "cuda:1"]),
        ("auto", {"1": "20GiB", "cpu": "60GiB"}, 2, ["cuda:1"]),
        ("cuda:1", {}, 2, ["cuda:1"]),
        ("cuda", {}, 1, ["cuda:0"]),
        ("cpu", {}, 2, ["cpu"]),
        ({"model": 0, "lm_head": "cpu"}, {}, 1, ["cpu", "cuda:0"]),
        ({"": "disk"}, {}, 1, ["cpu"]),
    ],
)
def test_a_judge_is_counted_where_it_will_be(
    folder: Path, device_map: Any, max_memory: dict[str, str], gpus: int, devices: list[str]
) -> None:
    spec = spec_of(folder, device_map=device_map, max_memory=max_memory)
    found = memory_by_device(spec, gpus)
    assert sorted(found) == devices
    assert weight_bytes(spec) <= sum(found.values()) <= weight_bytes(spec) + 1


def test_two_judges_on_a_device_are_added_up(folder: Path) -> None:
    spec = spec_of(folder)
    api = JudgeSpec("api", "openai", model="m")
    assert judge_memory([spec, api, spec]) == {"cpu": 2 * weight_bytes(spec)}
    assert judge_memory([]) == {}


@pytest.mark.parametrize("header", [b"", b"\xff" * 40, b"[1]", b"{", b'{"w": {}}'])
def test_a_damaged_file_is_named(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a sound safetensors file"):
        weight_bytes(spec_of(tmp_path))
