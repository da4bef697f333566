"""Checkpoints are read lazily, and damaged ones are refused by name."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.families import random_model, saved_model
from tvmerge._util.cache import ContentCache
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.shards import TensorSpec


@pytest.fixture
def folder(llama_folders: tuple[Path, Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_folders[0], tmp_path / "model"))


def _sharded(folder: Path) -> Path:
    return saved_model(folder, "llama", save={"max_shard_size": "20KB"})


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_names_shapes_and_formats_come_from_the_header(folder: Path) -> None:
    specs = Checkpoint(folder).specs
    assert specs["model.layers.1.mlp.up_proj.weight"] == TensorSpec((48, 32), "BF16")
    assert specs["model.norm.weight"].nbytes == 64
    assert set(specs) == set(load_file(folder / "model.safetensors"))


def test_a_header_is_read_without_the_data(folder: Path) -> None:
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    header = weights.read_bytes()[:4096]
    with weights.open("r+b") as file:  # a sparse file: the data is a hole that nobody has read
        file.truncate(len(header))
        file.truncate(size)
    assert len(Checkpoint(folder).specs) == 21


def test_tensors_are_those_transformers_saved(folder: Path) -> None:
    checkpoint = Checkpoint(folder)
    for name, tensor in random_model("llama", seed=0).state_dict().items():
        assert torch.equal(checkpoint.tensor(name), tensor)


def test_shards_read_as_one_model(tmp_path: Path) -> None:
    checkpoint = Checkpoint(_sharded(tmp_path / "model"))
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    for name, tensor in random_model("llama", seed=0).state_dict().items():
        assert torch.equal(checkpoint.tensor(name), tensor)


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="model has no tensor 'nope'"):
        Checkpoint(folder).tensor("nope")


def test_a_folder_without_a_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        Checkpoint(folder)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "expected a JSON object")])
def test_a_broken_configuration_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(folder)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        Checkpoint(folder)


def test_an_adapter_is_told_from_a_model(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"an adapter .*only a tuned model may be"):
        Checkpoint(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "model")
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(CheckpointError, match=f"missing {lost.name}"):
        Checkpoint(folder)


def test_a_shard_without_its_promised_tensor_is_named(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "model")
    index = folder / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    _edit(index, weight_map=weight_map | {"ghost": weight_map["model.norm.weight"]})
    with pytest.raises(CheckpointError, match="lists 'ghost' in"):
        Checkpoint(folder)


def test_an_index_cannot_reach_out_of_its_folder(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "model")
    _edit(folder / "model.safetensors.index.json", weight_map={"x": "../secret.safetensors"})
    with pytest.raises(CheckpointError, match="outside its folder"):
        Checkpoint(folder)


def test_an_index_has_names_of_files(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "model")
    _edit(folder / "model.safetensors.index.json", weight_map={"x": None})
    with pytest.raises(CheckpointError, match="must have names of files, got None"):
        Checkpoint(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "model")
    first, second = sorted(folder.glob("*.safetensors"))[:2]
    save_file(load_file(first) | load_file(second), first)
    with pytest.raises(CheckpointError, match=f"is in {first.name} and {second.name}"):
        Checkpoint(folder)


def test_a_file_cut_short_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 10)
    with pytest.raises(CheckpointError, match="bytes where its header promises"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        b"\xff" * 64,
        (10).to_bytes(8, "little") + b"not json!!",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        *(
            len(entry).to_bytes(8, "little") + entry + b"12345678"
            for entry in (
                b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
                b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}',
                b'{"a":{"dtype":5,"shape":[2],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F\\u001b[2J","shape":[2],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],'
                b'"data_offsets":[0,8]}}',
                '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.encode("utf-16"),
                b'{"__metadata__":5,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"X","shape":[2' + b",2" * 64 + b'],"data_offsets":[0,8]}}',
                b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"format":5}}',
            )
        ),
    ],
)
def test_a_corrupt_header_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .*; download it again$"):
        Checkpoint(folder)


def test_more_tensors_without_numbers_than_any_model_has_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    sound = load_file(weights)
    save_file(sound | {f"x{number}": torch.zeros(0) for number in range(1000)}, weights)
    assert len(Checkpoint(folder).specs) == 1021
    save_file(sound | {f"x{number}": torch.zeros(0, 3) for number in range(1001)}, weights)
    with pytest.raises(CheckpointError, match="1,001 tensors have no numbers; download it again"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "chat_template.jinja"]
)
def test_a_pointer_of_git_lfs_is_called_that(folder: Path, name: str) -> None:
    _point(folder / name)
    with pytest.raises(
        CheckpointError, match=rf"{name}: is a git-lfs pointer .*; run `git lfs pull` in .*model$"
    ):
        Checkpoint(folder)


def test_shards_pickles_and_indices_may_be_pointers_too(folder: Path, tmp_path: Path) -> None:
    sharded = _sharded(tmp_path / "sharded")
    _point(max(sharded.glob("*.safetensors")))
    with pytest.raises(CheckpointError, match=r"safetensors: is a git-lfs pointer"):
        Checkpoint(sharded)
    _point(sharded / "model.safetensors.index.json")
    with pytest.raises(CheckpointError, match=r"index\.json: is a git-lfs pointer"):
        Checkpoint(sharded)
    (folder / "model.safetensors").unlink()
    _point(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: is a git-lfs pointer"):
        Checkpoint(folder, allow_pickle=True)


def test_a_pointer_in_place_of_a_file_that_no_merge_needs_is_no_trouble(folder: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "consolidated.pth"):
        _point(folder / name)
    assert len(Checkpoint(folder).specs) == 21


def _point(path: Path) -> None:
    """Put what git leaves in place of a file that git-lfs has not brought."""
    path.write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4242\n", newline="\n"
    )


def test_8_bit_floats_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float8_e4m3fn)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"its weights are quantised \(fp8\)"):
        Checkpoint(folder)


def _pickled(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_pickled_weights_are_refused_unless_allowed(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="--allow-pickle"):
        Checkpoint(_pickled(folder))


def test_pickled_weights_are_read_where_allowed(folder: Path) -> None:
    expected = load_file(folder / "model.safetensors")
    checkpoint = Checkpoint(_pickled(folder), allow_pickle=True)
    assert checkpoint.specs["model.norm.weight"] == TensorSpec((32,), "BF16")
    assert all(torch.equal(checkpoint.tensor(name), tensor) for name, tensor in expected.items())


def test_pickled_weights_of_old_torch_are_read(folder: Path) -> None:
    expected = load_file(folder / "model.safetensors")
    torch.save(expected, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    checkpoint = Checkpoint(folder, allow_pickle=True)
    assert torch.equal(checkpoint.tensor("model.norm.weight"), expected["model.norm.weight"])


def test_pickled_parameters_are_tensors_without_gradients(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}
    torch.save(parameters, _pickled(folder) / "pytorch_model.bin")
    assert not Checkpoint(folder, allow_pickle=True).tensor("model.norm.weight").requires_grad


def test_a_pipe_in_place_of_a_pickle_is_not_waited_for(folder: Path) -> None:
    (_pickled(folder) / "pytorch_model.bin").unlink()
    os.mkfifo(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="it is a pipe and not a file"):
        Checkpoint(folder, allow_pickle=True)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_that_runs_code_is_refused_and_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"x": _Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"as a pickle of tensors only: it names \S+; download it again"
    ):
        Checkpoint(folder, allow_pickle=True)


@pytest.mark.parametrize(
    "content",
    [
        {1: torch.ones(2)},
        {"a": torch.ones(2, 2).to_sparse()},
        {"a": torch.ones(2, device="meta")},
        {"a": [1.0]},
        [torch.ones(2)],
    ],
)
def test_a_pickle_of_anything_but_named_dense_tensors_is_refused(folder: Path, content: object) -> None:
    torch.save(content, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="contains something other than named tensors"):
        Checkpoint(folder, allow_pickle=True)
    assert not (folder / "exploded").exists()


def test_the_digest_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert Checkpoint(copy).digest == Checkpoint(folder).digest
    (copy / "README.md").write_text("no part of the model")
    assert Checkpoint(copy).digest == Checkpoint(folder).digest
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert Checkpoint(copy).digest != Checkpoint(folder).digest


def test_the_digest_sees_a_single_changed_weight(folder: Path) -> None:
    before = Checkpoint(folder).digest
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = 7
    save_file(weights, folder / "model.safetensors")
    assert Checkpoint(folder).digest != before


def test_a_cached_digest_sees_a_change_of_the_same_size_and_time(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    with closing(ContentCache(tmp_path / "cache")) as cache:
        before = Checkpoint(folder, digest_cache=cache).digest
        state = weights.stat()
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
        assert Checkpoint(folder, digest_cache=cache).digest != before


def test_a_file_put_in_the_place_of_another_is_read_again(folder: Path, tmp_path: Path) -> None:
    config, other = folder / "generation_config.json", tmp_path / "other.json"
    config.write_text('{"a": 1}')
    other.write_text('{"a": 2}')
    for path in (config, other):
        os.utime(path, (1, 1))
    with closing(ContentCache(tmp_path / "cache")) as cache:
        before = Checkpoint(folder, digest_cache=cache).digest
        other.replace(config)
        assert Checkpoint(folder, digest_cache=cache).digest != before


def test_a_remembered_digest_is_used_until_the_file_changes(folder: Path, tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache")
    try:
        before = Checkpoint(folder, digest_cache=cache).digest
        keys = set(cache)
        assert Checkpoint(folder, digest_cache=cache).digest == before
        assert set(cache) == keys
        cache.put_many(dict.fromkeys(keys, "0" * 64))
        assert Checkpoint(folder, digest_cache=cache).digest != before, "the file was read again"
        for path in folder.glob("*.json"):
            _edit(path, changed=True)
        weights = load_file(folder / "model.safetensors")
        save_file(weights, folder / "model.safetensors")
        assert Checkpoint(folder, digest_cache=cache).digest == Checkpoint(folder).digest
    finally:
        cache.close()
