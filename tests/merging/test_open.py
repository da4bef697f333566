"""From three references to a written model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.families import saved_model
from tests.merging.hub import COMMIT, hub
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge, open_merge
from tvmerge.records import Recipe


def _open(folders: tuple[Path, ...], dtype: torch.dtype | None = None) -> Merge:
    target, base, tuned = map(str, folders)
    return open_merge(target, base, tuned, "layer", dtype=dtype)


def test_three_folders_become_a_written_model(llama_folders: tuple[Path, ...], tmp_path: Path) -> None:
    merge = _open(llama_folders, torch.float16)
    assert merge.group_names == ("embeddings", "layers.0", "layers.1", "norm", "head")
    recipe = Recipe(dict.fromkeys(merge.group_names, 0.75))
    write_merge(merge, tmp_path / "out", recipe, owner="study")
    target, base, tuned = (load_file(folder / "model.safetensors") for folder in llama_folders)
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert written.keys() == target.keys()
    for name, tensor in written.items():
        expected = target[name].float() + 0.75 * (tuned[name].float() - base[name].float())
        assert torch.equal(tensor, expected.half()), name
    marker = json.loads((tmp_path / "out" / "tvmerge.json").read_text())
    assert (marker["target"], marker["base"], marker["tuned"]) == ("target", "base", "tuned")
    assert marker["weights"] == dict(recipe.weights)
    assert marker["fingerprint"] == dict(merge.fingerprint)
    assert marker["formula"] == "target + weight * (tuned - base)"


def test_no_source_can_be_written_over(llama_folders: tuple[Path, ...]) -> None:
    merge = _open(llama_folders)
    recipe = Recipe(dict.fromkeys(merge.group_names, 1.0))
    for folder in llama_folders:
        with pytest.raises(CheckpointError, match="a model that is merged from"):
            write_merge(merge, folder, recipe, overwrite=True)


def test_a_damaged_model_is_found_on_opening(llama_folders: tuple[Path, ...], tmp_path: Path) -> None:
    bad = saved_model(tmp_path / "bad", "llama")
    weights = load_file(bad / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, bad / "model.safetensors")
    target, base, _ = map(str, llama_folders)
    with pytest.raises(CheckpointError, match=r"bad: tensor 'model\.norm\.weight' holds NaN"):
        open_merge(target, base, str(bad), "layer")
    assert open_merge(target, base, str(bad), "layer", verify=False).group_names[0] == "embeddings"


def test_a_hub_models_commit_is_recorded(
    llama_folders: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, base, tuned = llama_folders
    with hub({"owner/base": base, "owner/tuned": tuned}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        merge = open_merge(
            str(target), "owner/base", "owner/tuned@main", "layer", cache_dir=tmp_path / "cache"
        )
    assert merge.identities == {
        "target": "target",
        "base": f"owner/base@{COMMIT}",
        "tuned": f"owner/tuned@{COMMIT}",
    }
    local = _open(llama_folders)
    assert merge.fingerprint == local.fingerprint, "the content counts, not where it came from"


def test_models_that_do_not_fit_are_refused_before_weights_are_downloaded(
    llama_folders: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, base, _ = map(str, llama_folders)
    other = saved_model(tmp_path / "other", "llama", vocab_size=80)
    with hub({"owner/other": other}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        with pytest.raises(
            CheckpointError, match=r"tokens differ \(.* owner/other has 80 rows\).*--vocab skip"
        ):
            open_merge(target, base, "owner/other", "layer", cache_dir=tmp_path / "cache")
        assert "config.json" in served.downloads
        assert "model.safetensors" not in served.downloads
