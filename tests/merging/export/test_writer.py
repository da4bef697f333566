"""Written models: what transformers reads, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModelForCausalLM

import tvmerge
from tests.merging.families import random_model, saved_model
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.dtypes import code_of
from tvmerge.merging.export import writer
from tvmerge.merging.export.folders import check_precious
from tvmerge.merging.export.writer import write_model

State = dict[str, torch.Tensor]


@pytest.fixture
def target(llama_folders: tuple[Path, ...], tmp_path: Path) -> Checkpoint:
    folder = Path(shutil.copytree(llama_folders[0], tmp_path / "target"))
    for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "chat_template.jinja"):
        (folder / name).write_text(f"{name} 日本語")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text("rag")
    (folder / "training_args.bin").write_text("no part of the model")
    return Checkpoint(folder)


class _Merged(NamedTuple):
    state: State

    def write(self, folder: Path, target: Checkpoint, **options: Any) -> None:
        write_model(folder, iter(self.state.items()), target, **self.arguments(), **options)

    def arguments(self) -> dict[str, Any]:
        specs = {
            name: TensorSpec(tuple(tensor.shape), code_of(tensor.dtype))
            for name, tensor in self.state.items()
        }
        return {"specs": specs, "provenance": {"weights": {"norm": 0.5}}}


def _merged(dtype: torch.dtype = torch.bfloat16) -> _Merged:
    return _Merged(dict(random_model("llama", seed=7, dtype=dtype).state_dict()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_transformers_reads_back_what_was_written(
    target: Checkpoint, tmp_path: Path, dtype: torch.dtype
) -> None:
    merged = _merged(dtype)
    merged.write(tmp_path / "out", target)
    factory: Any = AutoModelForCausalLM
    model, report = factory.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert model.dtype == dtype, "the configuration names the format that was written"
    assert all(torch.equal(tensor, merged.state[name]) for name, tensor in model.state_dict().items())


def test_one_file_is_named_as_transformers_names_it(target: Checkpoint, tmp_path: Path) -> None:
    merged = _merged()
    merged.write(tmp_path / "out", target)
    assert [path.name for path in (tmp_path / "out").glob("*.safetensors*")] == ["model.safetensors"]
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_shards_and_index_are_those_transformers_writes(target: Checkpoint, tmp_path: Path) -> None:
    merged = _merged()
    merged.write(tmp_path / "ours", target, shard_size=12_000)
    theirs = saved_model(tmp_path / "theirs", "llama", seed=7, save={"max_shard_size": 12_000})
    ours = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    expected = json.loads((theirs / "model.safetensors.index.json").read_text())
    assert ours["metadata"]["total_size"] == expected["metadata"]["total_size"]
    assert ours["weight_map"].keys() == expected["weight_map"].keys()
    files = sorted((tmp_path / "ours").glob("*.safetensors"))
    assert {path.name for path in files} == set(ours["weight_map"].values())
    assert len(files) > 2
    assert all(sum(t.nbytes for t in load_file(path).values()) <= 12_000 for path in files)
    state = {name: tensor for path in files for name, tensor in load_file(path).items()}
    assert all(torch.equal(state[name], tensor) for name, tensor in merged.state.items())


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    shard_size=st.integers(1, 100),
    data=st.data(),
)
def test_any_tensors_in_any_order_and_format_survive(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], shard_size: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "target").mkdir()
    formats = [torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.bool, torch.uint8]
    state = {
        f"tensor.{index}": torch.arange(size).to(data.draw(st.sampled_from(formats)))
        for index, size in enumerate(sizes)
    }
    state["scalar"] = torch.tensor(2.5)
    specs = {name: TensorSpec(tuple(t.shape), code_of(t.dtype)) for name, t in state.items()}
    planned = writer.plan_shards(specs, shard_size)
    writer.write_shards(
        folder, planned, ((name, state[name]) for name in data.draw(st.permutations(list(state))))
    )
    read = {name: tensor for file in planned for name, tensor in load_file(folder / file).items()}
    assert read.keys() == state.keys()
    assert all(read[name].dtype == t.dtype and torch.equal(read[name], t) for name, t in state.items())


def test_tensors_that_are_views_are_written_as_they_look(target: Checkpoint, tmp_path: Path) -> None:
    merged = _merged()
    name = "model.layers.0.self_attn.q_proj.weight"
    turned = merged.state[name].t()
    _Merged(merged.state | {name: turned}).write(tmp_path / "out", target)
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[name], turned)


def test_all_but_the_targets_weights_comes_along_and_code_where_it_is_trusted(
    target: Checkpoint, tmp_path: Path
) -> None:
    (target.folder / "preprocessor_config.json").write_text(
        '{"feature_extractor_type": "WhisperFeatureExtractor"}'
    )
    (target.folder / "modeling_own.py").write_text("")
    named = {"auto_map": {"AutoTokenizer": ["modeling_own.Own", None]}, "eos_token": "語"}
    (target.folder / "processor_config.json").write_text(json.dumps(named))
    _merged().write(tmp_path / "out", target)
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "chat_template.jinja",
        "generation_config.json",
        "additional_chat_templates/rag.jinja",
    ):
        assert (tmp_path / "out" / name).read_bytes() == (target.folder / name).read_bytes()
    assert not (tmp_path / "out" / "training_args.bin").exists()
    assert not (tmp_path / "out" / "modeling_own.py").exists()
    assert json.loads((tmp_path / "out" / "processor_config.json").read_text()) == {"eos_token": "語"}
    factory: Any = AutoFeatureExtractor
    assert factory.from_pretrained(tmp_path / "out").sampling_rate == 16000
    _merged().write(tmp_path / "trusted", Checkpoint(target.folder, trust_remote_code=True))
    assert (tmp_path / "trusted" / "modeling_own.py").exists()
    assert json.loads((tmp_path / "trusted" / "processor_config.json").read_text()) == named


def test_the_old_name_of_the_format_is_kept_up_to_date(target: Checkpoint, tmp_path: Path) -> None:
    config = {key: value for key, value in target.config.items() if key != "dtype"}
    (target.folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "bfloat16"}))
    _merged(torch.float16).write(tmp_path / "out", Checkpoint(target.folder))
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written == config | {"torch_dtype": "float16"}


def test_the_marker_says_what_it_is_and_for_whom(target: Checkpoint, tmp_path: Path) -> None:
    _merged().write(tmp_path / "out", target, owner="study-1", texts={"README.md": "# A model"})
    text = (tmp_path / "out" / "tvmerge.json").read_text()
    marker = json.loads(text)
    assert marker["owner"] == "study-1"
    assert marker["tvmerge"] == tvmerge.__version__
    assert marker["weights"] == {"norm": 0.5}
    assert {"README.md", "model.safetensors", "config.json", "additional_chat_templates"} <= set(
        marker["files"]
    )
    assert str(tmp_path) not in text
    assert (tmp_path / "out" / "README.md").read_text() == "# A model"


def test_the_same_study_replaces_its_model_and_another_does_not(target: Checkpoint, tmp_path: Path) -> None:
    _merged().write(tmp_path / "out", target, owner="study-1", shard_size=12_000)
    _merged(torch.float16).write(tmp_path / "out", target, owner="study-1")
    assert [path.name for path in (tmp_path / "out").glob("*.safetensors*")] == ["model.safetensors"]
    with pytest.raises(CheckpointError, match="written by another run"):
        _merged().write(tmp_path / "out", target, owner="study-2")


def test_what_appears_in_a_folder_while_its_model_is_written_stays(
    target: Checkpoint, tmp_path: Path
) -> None:
    out, merged = tmp_path / "out", _merged()
    (out / "mine").mkdir(parents=True)
    run = out / "mine" / ".study"

    def stream() -> Iterator[tuple[str, torch.Tensor]]:
        run.touch()
        yield from merged.state.items()

    def protect() -> None:
        check_precious(out, [("a run", run)] if run.exists() else [])

    with pytest.raises(ConfigError, match="out holds a run; choose a separate folder"):
        write_model(out, stream(), target, **merged.arguments(), overwrite=True, protect=protect)
    assert list(tmp_path.rglob(".study")) == [run]
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_source_is_never_overwritten(target: Checkpoint, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in target.folder.rglob("*") if path.is_file()}
    for folder in (target.folder, tmp_path):
        with pytest.raises(CheckpointError, match="a model that is merged from"):
            _merged().write(folder, target, overwrite=True)
    assert {path: path.read_bytes() for path in before} == before


def _without(state: State, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    return ((key, value) for key, value in state.items() if key != name)


def test_a_stream_that_breaks_its_word_is_refused_and_leaves_nothing(
    target: Checkpoint, tmp_path: Path
) -> None:
    merged = _merged()
    name = "model.norm.weight"
    streams = {
        rf"did not produce {name}": _without(merged.state, name),
        rf"declared '{name}' as": iter((merged.state | {name: torch.zeros(33)}).items()),
        "yielded 'stranger' twice or without": iter((merged.state | {"stranger": torch.zeros(1)}).items()),
        rf"yielded '{name}' twice or without": iter([*merged.state.items(), (name, merged.state[name])]),
    }
    for message, stream in streams.items():
        with pytest.raises(CheckpointError, match=message):
            write_model(tmp_path / "out", stream, target, **merged.arguments())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]


def test_an_error_in_the_merge_leaves_the_old_model(target: Checkpoint, tmp_path: Path) -> None:
    merged = _merged()
    merged.write(tmp_path / "out", target, owner="study-1")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()

    def broken() -> Iterator[tuple[str, torch.Tensor]]:
        yield from list(_merged(torch.bfloat16).state.items())[:5]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_model(tmp_path / "out", broken(), target, owner="study-1", **merged.arguments())
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "target"]


def test_a_disk_that_is_too_small_is_known_beforehand(target: Checkpoint, tmp_path: Path) -> None:
    huge = {"x": TensorSpec((2**60,), "BF16")}
    with pytest.raises(CheckpointError, match=r"the model needs \d+\.\d\d GB, the disk has"):
        write_model(tmp_path / "out", iter(()), target, specs=huge, provenance={})
    assert not (tmp_path / "out").exists()


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond `size` bytes: a real write that fails half-way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_the_system_refuses_leaves_nothing(target: Checkpoint, tmp_path: Path) -> None:
    with (
        _no_file_larger_than(30_000),
        pytest.raises(CheckpointError, match="cannot be written: File too"),
    ):
        _merged().write(tmp_path / "out", target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]


def test_a_disk_that_fills_up_is_told_with_what_is_needed(target: Checkpoint, tmp_path: Path) -> None:
    def full() -> Iterator[tuple[str, torch.Tensor]]:
        if Path("/dev/full").exists():
            with Path("/dev/full").open("wb") as device:
                device.write(b"x")
        else:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield from ()

    with pytest.raises(CheckpointError, match=r"the disk is full; the model needs \d+ kB"):
        write_model(tmp_path / "out", full(), target, **_merged().arguments())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]
