"""An adapter's base is known by its repository, however it is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.merging.hub import COMMIT
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.lora.identity import Repository, adapter_base, repository
from tvmerge.merging.checkpoints.sources import Source, resolve


@pytest.mark.parametrize(
    ("reference", "owner", "name"),
    [
        ("Qwen/Qwen2.5-0.5B", "Qwen", "Qwen2.5-0.5B"),
        ("Qwen/Qwen2.5-0.5B@main", "Qwen", "Qwen2.5-0.5B"),
        ("gpt2", None, "gpt2"),
        ("/data/models/Qwen2.5-0.5B/", None, "Qwen2.5-0.5B"),
        ("/data/a@b/Qwen2.5-0.5B", None, "Qwen2.5-0.5B"),
        ("./Qwen2.5-0.5B", None, "Qwen2.5-0.5B"),
        (r"C:\models\Qwen2.5-0.5B", None, "Qwen2.5-0.5B"),
        (f"/root/.cache/hub/models--Qwen--Qwen2.5-0.5B/snapshots/{COMMIT}", "Qwen", "Qwen2.5-0.5B"),
        (f"/root/.cache/hub/models--gpt2/snapshots/{COMMIT}", None, "gpt2"),
    ],
)
def test_a_reference_means_a_repository(reference: str, owner: str | None, name: str) -> None:
    assert repository(reference) == Repository(owner, name)


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("Llama-3.1-8B-bnb-4bit", "Llama-3.1-8B"),
        ("Llama-3.1-8B-Instruct-unsloth-bnb-4bit", "Llama-3.1-8B-Instruct"),
        ("Qwen3-4B-AWQ", "Qwen3-4B"),
        ("Qwen3-4B-GPTQ-Int4", "Qwen3-4B"),
        ("Qwen3-4B-FP8", "Qwen3-4B"),
        ("Qwen3-4B-quantized.w4a16", "Qwen3-4B"),
        ("Qwen3-4B", None),
        ("Awqward-7B", None),
    ],
)
def test_a_quantised_copy_is_known_by_its_name(copy: str, original: str | None) -> None:
    found = Repository("unsloth", copy).original
    assert (found and found.name) == original


def _adapter(folder: Path, trained_on: str | None) -> Source:
    folder.mkdir(exist_ok=True)
    config: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": trained_on}))
    return resolve(str(folder))


def _model(folder: Path, **settings: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **settings}))
    return folder


def test_a_snapshot_of_the_hubs_cache_is_its_repository(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "adapter", "Qwen/Qwen2.5-0.5B")
    snapshot = _model(tmp_path / "hub" / "models--Qwen--Qwen2.5-0.5B" / "snapshots" / COMMIT)
    assert adapter_base(adapter, str(snapshot))[1] is None
    other = _model(tmp_path / "hub" / "models--else--Qwen2.5-0.5B" / "snapshots" / COMMIT)
    with pytest.raises(CheckpointError, match=r"was trained on 'Qwen/Qwen2\.5-0\.5B', but the base model is"):
        adapter_base(adapter, str(other))


def test_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "adapter", "Qwen/Qwen2.5-0.5B")
    assert adapter_base(adapter, str(_model(tmp_path / "qwen2.5-0.5b")))[1] is None
    with pytest.raises(CheckpointError, match=rf"write 'else' as base_model_name_or_path into {tmp_path}"):
        adapter_base(adapter, str(_model(tmp_path / "else")))


@pytest.mark.parametrize(
    ("trained_on", "settings", "remark"),
    [
        ("unsloth/base-bnb-4bit", {}, "base is taken for its float original"),
        (None, {}, "adapter does not say what it was trained on; base is taken for it"),
        ("Qwen/Qwen3-4B", {"_name_or_path": "Qwen/Qwen3-4B"}, "from which base says that it comes"),
    ],
)
def test_what_names_alone_do_not_show_is_said(
    tmp_path: Path, trained_on: str | None, settings: dict[str, object], remark: str
) -> None:
    base = _model(tmp_path / "base", **settings)
    assert remark in str(adapter_base(_adapter(tmp_path / "adapter", trained_on), str(base))[1])


def test_another_models_quantised_copy_says_how_to_go_on(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "adapter", "unsloth/Meta-base-bnb-4bit")
    base = str(_model(tmp_path / "base"))
    with pytest.raises(
        CheckpointError, match=r"\(a quantised copy\), but .* write 'base' as base_model_name"
    ):
        adapter_base(adapter, base)
    assert adapter_base(_adapter(tmp_path / "adapter", "base"), base)[1] is None


def test_a_base_that_the_adapter_names_is_found_or_asked_for(tmp_path: Path) -> None:
    base = _model(tmp_path / "base")
    link = tmp_path / "link"
    link.symlink_to(base)
    assert adapter_base(_adapter(tmp_path / "adapter", str(link)), None)[0].folder == link
    shutil.rmtree(base)
    with pytest.raises(
        CheckpointError, match=r"not a hub id .*; adapter was trained on it; pass its base model"
    ):
        adapter_base(_adapter(tmp_path / "adapter", str(base)), None)
    with pytest.raises(CheckpointError, match="does not say what it was trained on; pass its base model"):
        adapter_base(_adapter(tmp_path / "adapter", None), None)
    quantised = _model(tmp_path / "base-4bit", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(CheckpointError, match="whose weights are quantised; pass the float model"):
        adapter_base(_adapter(tmp_path / "adapter", str(quantised)), None)
