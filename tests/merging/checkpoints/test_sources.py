"""Model references become folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.merging.hub import COMMIT, hub
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.sources import fetch_weights, resolve


def _model(folder: Path) -> Path:
    (folder / "additional_chat_templates").mkdir(parents=True)
    for name in (
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "pytorch_model.bin",
        "flax_model.msgpack",
        "README.md",
        "chat_template.jinja",
        "additional_chat_templates/rag.jinja",
        "preprocessor_config.json",
        "tekken.json",
        "modeling_own.py",
        "original.zip",
    ):
        (folder / name).write_text(f'"{name}"')
    return folder


def test_a_folder_is_itself(tmp_path: Path) -> None:
    source = resolve(str(_model(tmp_path / "mine")))
    assert (source.folder, source.name, source.commit) == (tmp_path / "mine", "mine", None)
    assert source.identity == "mine"


def test_a_hub_model_is_fetched_metadata_first_and_its_commit_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/model": _model(tmp_path / "remote")}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        source = resolve("owner/model", cache_dir=tmp_path / "cache")
        assert "model.safetensors" not in served.downloads
        assert (source.folder / "config.json").read_text() == '"config.json"'
        assert (source.folder / "additional_chat_templates" / "rag.jinja").is_file()
        fetch_weights(source, cache_dir=tmp_path / "cache")
    assert (source.folder / "model.safetensors").read_text() == '"model.safetensors"'
    assert source.identity == f"owner/model@{COMMIT}"
    assert {"preprocessor_config.json", "tekken.json"} <= set(served.downloads)
    assert not {"flax_model.msgpack", "pytorch_model.bin", "original.zip"} & set(served.downloads)


def test_a_models_code_is_fetched_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"owner/model": _model(tmp_path / "remote")}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        resolve("owner/model", cache_dir=tmp_path / "cache")
        assert "modeling_own.py" not in served.downloads
        resolve("owner/model", cache_dir=tmp_path / "cache", code=True)
        assert "modeling_own.py" in served.downloads


def test_a_model_in_shards_comes_with_their_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = _model(tmp_path / "remote")
    (remote / "model.safetensors").rename(remote / "model-00001-of-00001.safetensors")
    (remote / "model.safetensors.index.json").write_text("{}")
    with hub({"owner/model": remote}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        source = resolve("owner/model", cache_dir=tmp_path / "cache")
        assert (source.folder / "model.safetensors.index.json").is_file()
        fetch_weights(source, cache_dir=tmp_path / "cache")
    assert (source.folder / "model-00001-of-00001.safetensors").is_file()


def test_a_revision_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({"owner/model": _model(tmp_path / "remote")}, revisions=("v2",)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        assert resolve("owner/model@v2", cache_dir=tmp_path / "cache").commit == COMMIT
        with pytest.raises(CheckpointError, match="'owner/model' is not a folder here, and the hub does not"):
            resolve("owner/model@v3", cache_dir=tmp_path / "cache")


def test_pickled_weights_are_fetched_only_where_allowed_and_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = _model(tmp_path / "remote")
    (remote / "model.safetensors").unlink()
    with hub({"owner/model": remote}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        source = resolve("owner/model", cache_dir=tmp_path / "cache")
        fetch_weights(source, cache_dir=tmp_path / "cache")
        assert "pytorch_model.bin" not in served.downloads
        fetch_weights(source, cache_dir=tmp_path / "cache", allow_pickle=True)
        assert "pytorch_model.bin" in served.downloads


def test_a_model_downloaded_before_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({"owner/model": _model(tmp_path / "remote")}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        first = resolve("owner/model", cache_dir=tmp_path / "cache")
        fetch_weights(first, cache_dir=tmp_path / "cache")
    second = resolve("owner/model", cache_dir=tmp_path / "cache")
    fetch_weights(second, cache_dir=tmp_path / "cache")
    assert second == first


def test_a_name_that_is_neither_folder_nor_model_is_explained_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        with pytest.raises(
            CheckpointError, match="'models/mistral' is not a folder here, and the hub does not"
        ):
            resolve("models/mistral", cache_dir=tmp_path / "cache")


def test_a_hub_that_does_not_answer_is_not_said_to_lack_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({}) as served:
        url = served.url
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(CheckpointError, match=r"the hub cannot be reached: .*; check the network, or choose"):
        resolve("owner/model", cache_dir=tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set, so the hub is not asked; unset it, or"):
        resolve("owner/model", cache_dir=tmp_path / "cache")


def test_a_gated_model_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({}, gated=("owner/model",)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        with pytest.raises(CheckpointError, match="gated; accept its terms there and set HF_TOKEN"):
            resolve("owner/model", cache_dir=tmp_path / "cache")


def test_a_repository_without_a_configuration_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = _model(tmp_path / "remote")
    (remote / "config.json").unlink()
    with hub({"owner/data": remote}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        with pytest.raises(CheckpointError, match=r"'owner/data' has no config\.json"):
            resolve("owner/data", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("reference", ["/no/such/folder", "./models/x", "a/b/c", "owner/model@", ""])
def test_what_cannot_be_a_hub_id_is_a_missing_folder(reference: str) -> None:
    with pytest.raises(CheckpointError, match="is not a folder here, and not a hub id"):
        resolve(reference)


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="is a file; pass the folder"):
        resolve(str(tmp_path / "model.safetensors"))
