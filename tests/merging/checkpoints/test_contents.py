"""What a merged model takes over from its target, what its digest is made of, and what is downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints import contents
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.contents import companions, deciding, hub_ignores, kind_of, left_out

TAKEN = (
    *(
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tekken.json",
        "tokenizer.jsonl",
        "merges.txt",
    ),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "params.json"),
    *("qwen.tiktoken", "tokenizer.model", "spiece.model", "vocab.bin", "tokenizer.bin", "emoji.json"),
    *("SYSTEM_PROMPT.txt", "chat_template.jinja", "additional_chat_templates/rag.jinja"),
    *("assets/voices/one.wav", "image_processor/preprocessor_config.json", "bpe.vocab.txt.gz"),
)
WEIGHTS = (
    *("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"),
    *(
        "consolidated.00.pth",
        "consolidated.safetensors",
        "adapter_model.bin",
        "tf_model.h5",
        "flax_model.msgpack",
    ),
    *(
        "optimizer.pt",
        "model-q4.gguf",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "w.npz",
    ),
    *("model.fp16.onnx.data", "openvino_model.xml", "openvino_model.bin", "original/params.json"),
    *("original/tokenizer.model", "model.ckpt.index", "value_head.bin", "tower/x.bin", "ggml-model.bin"),
)
CODE = ("modeling_own.py", "ops/kernel.cu", "kernel.so", "setup.sh", "tokenizer.pkl")
PAGES = ("LICENSE", "LICENSE.txt", "NOTICE", "USE_POLICY.md", "figures/scores.png", "paper.pdf")
LEFT = {
    "training": (
        "trainer_state.json",
        "training_args.bin",
        "checkpoint-500/config.json",
        "runs/a/events",
        "x.log",
    ),
    "hidden": (
        ".gitattributes",
        ".cache/huggingface/x",
        "sub/.git/config",
        "__pycache__/a.pyc",
        "x.incomplete",
    ),
    "replaced": (
        "README.md",
        "README_ja.md",
        "tvmerge.json",
        "tvmerge.toml",
        "mergekit_config.yml",
        "remarks.txt",
    ),
    "data": ("samples.zip", "logs.tar.gz", "data/train-00000.parquet"),
}


def _fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _names(root: Path, files: list[Path]) -> set[str]:
    return {path.relative_to(root).as_posix() for path in files}


@pytest.mark.parametrize(
    ("kind", "names"),
    [("companion", TAKEN), ("weights", WEIGHTS), ("code", CODE), ("page", PAGES), *LEFT.items()],
)
def test_a_file_is_known_by_its_name(kind: str, names: tuple[str, ...]) -> None:
    assert {name: kind_of(name) for name in names} == dict.fromkeys(names, kind)


def test_all_but_weights_comes_along_and_code_only_where_it_is_trusted(tmp_path: Path) -> None:
    folder = _fill(
        tmp_path, *TAKEN, *WEIGHTS, *CODE, *PAGES, *(name for names in LEFT.values() for name in names)
    )
    assert _names(folder, companions(folder, code=False)) == {*TAKEN, *PAGES}
    assert _names(folder, companions(folder, code=True)) == {*TAKEN, *PAGES, *CODE}
    assert _names(folder, deciding(folder, code=True)) == {*TAKEN, *CODE}


@pytest.mark.parametrize("code", [False, True])
def test_the_hub_is_asked_for_what_comes_along_and_for_indices(code: bool, tmp_path: Path) -> None:
    names = [*TAKEN, *WEIGHTS, *CODE, *PAGES, *LEFT["training"], *LEFT["hidden"], *LEFT["data"]]
    folder = _fill(tmp_path, *names)
    asked = set(filter_repo_objects(names, ignore_patterns=hub_ignores(code=code)))
    indices = {name for name in WEIGHTS if name.endswith(".index.json")}
    assert asked == _names(folder, companions(folder, code=code)) | indices


def test_a_snapshot_of_links_is_a_model_like_others(tmp_path: Path) -> None:
    blobs, snapshot = _fill(tmp_path / "blobs", "a", "b/c"), tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "tekken.json").symlink_to(blobs / "a")
    (snapshot / "templates").symlink_to(blobs / "b")
    (blobs / "b" / "loop").symlink_to(snapshot)
    assert _names(snapshot, companions(snapshot, code=False)) == {"tekken.json", "templates/c"}
    (blobs / "a").unlink()
    with pytest.raises(CheckpointError, match=r"tekken\.json: is a link to a file that is not there"):
        companions(snapshot, code=False)


def test_models_within_the_folder_and_very_large_files_stay_behind_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _fill(tmp_path, "config.json", "model.safetensors", "base/tokenizer.json", "pooling/config.json")
    _fill(tmp_path, "adapter/adapter_config.json", "merged/tvmerge.json", "onnx/model.onnx", "answers.jsonl")
    (folder / "base" / "config.json").write_text('{"model_type": "llama"}')
    monkeypatch.setattr(contents, "LARGE", len("config.json") + 1)
    assert _names(folder, companions(folder, code=False)) == {"config.json"}
    assert left_out(folder, [folder / "model.safetensors"], code=False) == {
        "weights that were not merged": ["onnx/model.onnx"],
        "a model of its own": ["adapter", "base", "merged"],
        "archives, and files of more than 0 GB": ["answers.jsonl", "pooling/config.json"],
    }


def test_code_that_stays_behind_is_told_even_where_it_was_not_downloaded(tmp_path: Path) -> None:
    folder = _fill(tmp_path, "modeling_own.py")
    code = {"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "other/repository--config.Own"}
    (folder / "config.json").write_text(json.dumps({"auto_map": code}))
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["words.Own", null]}}')
    told = {"code, which is copied with --trust-remote-code": ["modeling_own.py", "words.py"]}
    assert left_out(folder, [], code=False) == told
    assert left_out(folder, [], code=True) == {}


def test_a_digest_is_of_what_decides_answers(llama_folders: tuple[Path, ...], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama_folders[0], tmp_path / "model"))
    before = Checkpoint(folder).digest
    _fill(folder, *PAGES, "README.md", "onnx/model.onnx", "runs/events", ".gitattributes", "code.py")
    assert Checkpoint(folder).digest == before
    assert Checkpoint(folder, trust_remote_code=True).digest != before
    _fill(folder, "preprocessor_config.json")
    assert Checkpoint(folder).digest != before
