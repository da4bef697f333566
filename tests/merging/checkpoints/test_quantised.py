"""Whether weights are quantised is told by the tensors, whatever a `config.json` says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.merging.hub import hub
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge, open_merge
from tvmerge.records import Recipe

NAME = "model.layers.0.mlp.up_proj"
BITS = torch.zeros(48, 16, dtype=torch.uint8)
NUMBERS = torch.zeros(48, dtype=torch.float32)
BITSANDBYTES = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(llama_folders: Folders, tmp_path: Path) -> Folders:
    target, base, tuned = (Path(shutil.copytree(f, tmp_path / "models" / f.name)) for f in llama_folders)
    return target, base, tuned


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _open(folders: Folders) -> Merge:
    target, base, tuned = map(str, folders)
    return open_merge(target, base, tuned, "all")


@pytest.mark.parametrize("settings", [BITSANDBYTES, {"quant_method": "fp8"}, {"quant_method": "hqq"}])
def test_floats_are_believed_and_what_is_left_over_is_told(
    folders: Folders, settings: dict[str, Any]
) -> None:
    _edit(folders[2], quantization_config=settings)
    (remark,) = (remark.line() for remark in _open(folders).remarks())
    assert remark == (
        f"tuned: its config.json says that its weights are quantised ({settings['quant_method']}), but they "
        "are floats and are taken as such"
    )


def test_what_is_left_over_is_compared_with_nothing(folders: Folders) -> None:
    for folder, order in ((folders[0], True), (folders[2], False)):
        _edit(folder, quantization_config={"quant_method": "gptq", "bits": 4, "desc_act": order})
    told = [remark.line().partition(" its weights are quantised ")[0] for remark in _open(folders).remarks()]
    assert told == ["target: its config.json says that", "tuned: its config.json says that"]


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
@pytest.mark.parametrize("nothing", [{}, None])
def test_empty_settings_say_nothing(folders: Folders, key: str, nothing: object) -> None:
    _edit(folders[0], **{key: nothing})
    assert _open(folders).remarks() == ()


def test_what_is_left_over_in_the_target_is_not_written(folders: Folders, tmp_path: Path) -> None:
    _edit(folders[0], quantization_config=BITSANDBYTES)
    merge = _open(folders)
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.5)))
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(tmp_path / "out")
    assert torch.equal(
        model.lm_head.weight, load_file(tmp_path / "out" / "model.safetensors")["lm_head.weight"]
    )


@pytest.mark.parametrize(
    ("tensors", "method"),
    [
        ({f"{NAME}.weight": BITS, f"{NAME}.weight.absmax": NUMBERS}, "bitsandbytes"),
        ({f"{NAME}.weight": BITS.to(torch.int8), f"{NAME}.SCB": NUMBERS}, "bitsandbytes"),
        (
            {f"{NAME}.qweight": BITS.int(), f"{NAME}.qzeros": BITS.int(), f"{NAME}.g_idx": NUMBERS.int()},
            "gptq",
        ),
        ({f"{NAME}.qweight": BITS.int(), f"{NAME}.qzeros": BITS.int()}, "gptq or awq"),
        ({f"{NAME}_blocks": BITS, f"{NAME}_scales": BITS.clone()}, "mxfp4"),
        ({f"{NAME}.weight": BITS.to(torch.float8_e4m3fn), f"{NAME}.weight_scale_inv": NUMBERS}, "fp8"),
        ({f"{NAME}.weight": BITS.to(torch.float8_e5m2)}, "fp8"),
        ({f"{NAME}.weight_packed": BITS.int(), f"{NAME}.weight_scale": NUMBERS}, "compressed-tensors"),
        ({f"{NAME}.W_q": BITS, f"{NAME}.scale": NUMBERS}, "hqq"),
        ({f"{NAME}.weight": BITS.to(torch.int8)}, "integers in I8"),
    ],
)
def test_quantised_tensors_are_refused_by_method_with_settings_or_without(
    folders: Folders, tensors: dict[str, torch.Tensor], method: str
) -> None:
    path = folders[1] / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if name != f"{NAME}.weight"}
    save_file(kept | tensors, path, metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=rf"^base: its weights are quantised \({method}\); task vectors need"
    ):
        _open(folders)
    _edit(folders[1], quantization_config={"quant_method": "its own name"})
    with pytest.raises(CheckpointError, match=r"^base: its weights are quantised \(its own name\)"):
        _open(folders)


def test_a_way_to_quantise_that_leaves_no_known_trace_is_told_by_what_is_missing(folders: Folders) -> None:
    path = folders[1] / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if name != f"{NAME}.weight"}
    save_file(kept | {f"{NAME}.strange": BITS}, path, metadata={"format": "pt"})
    _edit(folders[1], quantization_config={"quant_method": "strange"})
    with pytest.raises(CheckpointError, match=r"^base: its weights are quantised \(strange\)"):
        _open(folders)


def test_a_pickle_of_small_floats_is_refused_too(folders: Folders) -> None:
    path = folders[1] / "model.safetensors"
    weights = load_file(path)
    weights[f"{NAME}.weight"] = weights[f"{NAME}.weight"].to(torch.float8_e4m3fn)
    path.unlink()
    torch.save(weights, folders[1] / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"its weights are quantised \(fp8\)"):
        Checkpoint(folders[1], allow_pickle=True)


def test_a_quantised_model_of_the_hub_is_refused_before_its_weights_are_downloaded(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, base, tuned = folders
    index = {"weight_map": {f"{NAME}.qweight": "model-00001-of-00001.safetensors"}}
    (tuned / "model.safetensors").unlink()
    (tuned / "model.safetensors.index.json").write_text(json.dumps(index))
    with hub({"owner/tuned": tuned}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        with pytest.raises(CheckpointError, match=r"owner/tuned: its weights are quantised \(gptq or awq\)"):
            open_merge(str(target), str(base), "owner/tuned", "all", cache_dir=tmp_path / "cache")
