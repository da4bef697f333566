"""Files of models: headers of safetensors files, indexes of shards, configurations, pickles of tensors."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from perf.fuzz.draws import Draws
from tvmerge.errors import CheckpointError
from tvmerge.judging.local.memory import weight_bytes
from tvmerge.judging.spec import spec_for_model
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.lora.config import adapter_scale, check_adapter_config, trained_tokens
from tvmerge.merging.checkpoints.shards import SafetensorsShard
from tvmerge.merging.dtypes import BYTES

MOST = 1 << 16
"""Bytes of data that are written for a header."""

_SHARDS = ("one.safetensors", "two.safetensors")
_ENTRY = '{"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"format": "pt"}}'
_INDEX = '{"metadata": {"total_size": 48}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}'
_ADAPTER = (
    '{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "init_lora_weights": true, "use_rslora": false, '
    '"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"^model.*": 8.5}, "trainable_token_indices": [0, 2]}'
)
_CONFIG = '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "quantization_config": {}}'

SEEDS = (
    b"\x00" + len(_ENTRY).to_bytes(8, "little") + _ENTRY.encode() + bytes(24),
    b"\x01" + _ENTRY.encode(),
    b"\x02" + _INDEX.encode(),
    b"\x03" + _ADAPTER.encode(),
    b"\x04" + _CONFIG.encode(),
    b"\x05\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.",
)
"""One input of each kind."""


def check(data: bytes) -> None:
    """Check an input; raise if it breaks what reads it."""
    draws = Draws(data)
    kind = draws.choice(KINDS)
    with tempfile.TemporaryDirectory() as folder:
        try:
            kind(Path(folder), draws.rest())
        except CheckpointError as error:
            if "\n" in str(error):
                raise AssertionError("an error of more than one line") from error


def _check_file(folder: Path, content: bytes) -> None:
    path = folder / layout.SAFETENSORS
    path.write_bytes(content)
    specs = SafetensorsShard(path).specs
    if all(spec.dtype in BYTES for spec in specs.values()):  # others are refused by their names later
        with safe_open(path, framework="pt") as file:  # the format's own library reads what is accepted
            assert set(file.keys()) == set(specs)
            for name, spec in specs.items():
                assert tuple(file.get_slice(name).get_shape()) == spec.shape
    assert weight_bytes(spec_for_model("local", str(folder))) >= 0


def _check_header(folder: Path, header: bytes) -> None:
    try:
        entries = json.loads(header).values()
        size = max(entry["data_offsets"][1] for entry in entries if "data_offsets" in entry)
        data = bytes(min(size, MOST))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
        data = b""
    _check_file(folder, len(header).to_bytes(8, "little") + header + data)


def _check_index(folder: Path, content: bytes) -> None:
    for name, file in zip("ab", _SHARDS, strict=True):
        save_file({name: torch.zeros(2, 3)}, folder / file)
    (folder / layout.SAFETENSORS_INDEX).write_bytes(content)
    (folder / layout.CONFIG).write_text("{}")
    Checkpoint(folder)


def _check_adapter(folder: Path, content: bytes) -> None:
    (folder / layout.ADAPTER_CONFIG).write_bytes(content)
    config = layout.read_json(folder / layout.ADAPTER_CONFIG)
    check_adapter_config(config, "adapter")
    for module in ("model.layers.0.self_attn.q_proj", "lm_head"):
        assert isinstance(adapter_scale(config, module), float)
        assert all(isinstance(row, int) for row in trained_tokens(config, module))


def _check_config(folder: Path, content: bytes) -> None:
    save_file({"a": torch.zeros(2, 3)}, folder / layout.SAFETENSORS)
    (folder / layout.CONFIG).write_bytes(content)
    Checkpoint(folder)


def _check_pickle(folder: Path, content: bytes) -> None:
    (folder / layout.PICKLE).write_bytes(content)
    (folder / layout.CONFIG).write_text("{}")
    Checkpoint(folder, allow_pickle=True)


KINDS = (_check_file, _check_header, _check_index, _check_adapter, _check_config, _check_pickle)
"""What an input may be."""
