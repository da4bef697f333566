"""No two models of a merge have one name, and no name says where on this machine they are."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.merging.families import saved_model
from tests.merging.hub import COMMIT
from tests.merging.tokens import save_tokenizer
from tvmerge.cli.app import run
from tvmerge.merging.checkpoints.sources import Source, resolve
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.model_names import distinct_names
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import MergeRequest, MixtureSettings, TaskVector
from tvmerge.records import Recipe


def _names(*places: str | Source) -> list[str]:
    sources = {
        str(number): place if isinstance(place, Source) else Source(Path(place), Path(place).name)
        for number, place in enumerate(places)
    }
    return [source.name for source in distinct_names(sources).values()]


def _hub(name: str, commit: str) -> Source:
    return Source(Path(f"/cache/{name}/{commit}"), name, name, commit, downloaded=True)


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (("/x/target", "/x/base", "/x/tuned"), ["target", "base", "tuned"]),
        (("/x/a/model", "/x/b/model", "/x/tuned"), ["a/model", "b/model", "tuned"]),
        (("/x/a/out/model", "/x/b/out/model"), ["a/out/model", "b/out/model"]),
        (("/x/a/model", "/x/a/model", "/x/b/model"), ["a/model", "a/model", "b/model"]),
        (("/model", "/a/model"), ["model", "a/model"]),
        (("/home/ann/model", "/home/bob/model", "/home/bob/runs/model"), ["model", "model-2", "runs/model"]),
        (("/Users/ann/model", "/root/model", "/root"), ["model", "model-2", "model-3"]),
    ],
)
def test_a_folder_is_called_by_what_tells_it_from_the_others(
    places: tuple[str, ...], names: list[str]
) -> None:
    assert _names(*places) == names


def test_the_users_own_home_is_never_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/data/people/ann")
    assert _names("/data/people/ann/model", "/data/people/ann/old/model") == ["model", "old/model"]
    monkeypatch.setenv("HOME", "/")
    assert _names("/data/a/model", "/data/b/model") == ["a/model", "b/model"]


def test_a_model_of_the_hub_keeps_its_id_and_two_commits_of_it_are_told_apart() -> None:
    assert _names(_hub("ann/model", "1"), "/x/ann/model", "/y/model") == [
        "ann/model",
        "x/ann/model",
        "y/model",
    ]
    assert _names(_hub("ann/model", "1"), _hub("ann/model", "2")) == ["ann/model@1", "ann/model@2"]


def test_a_folder_of_the_hubs_cache_is_called_by_what_it_is_on_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "models--ann--my-model" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    source = resolve(str(folder))
    assert (source.name, source.identity, source.portable) == (
        "ann/my-model",
        *(f"ann/my-model@{COMMIT}",) * 2,
    )
    assert source.reference == str(folder), "where it is here is not asked of the hub"
    alone = tmp_path / "models--gpt2" / "snapshots" / COMMIT
    alone.mkdir(parents=True)
    assert resolve(str(alone)).name == "gpt2"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models `a/model`, ..., `d/model`, which differ."""
    root = tmp_path_factory.mktemp("names")
    for seed, name in enumerate("abcd"):
        save_tokenizer(saved_model(root / name / "model", "llama", seed=seed), [f"w{n}" for n in range(64)])
    return root


def _open(root: Path, targets: str = "a", base: str | None = None) -> Merge:
    settings = MixtureSettings(base=None if base is None else str(root / base / "model"))
    vector = TaskVector(tuned=str(root / "c" / "model"), base=str(root / "b" / "model"))
    places = tuple(str(root / name / "model") for name in targets)
    return open_request(MergeRequest(targets=places, vectors=(vector,), mixture=settings))


def test_what_is_written_of_models_with_one_last_name_makes_the_merge_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = [
        f"--{role}-model={root / name / 'model'}"
        for role, name in zip(("target", "base", "tuned"), "abc", strict=True)
    ]
    out = tmp_path / "out"
    assert run(["merge", *roles, "--weight=0.5", f"--output-dir={out}"]) == 0
    texts = {
        path.name: path.read_text()
        for path in out.iterdir()
        if path.suffix in {".md", ".toml", ".yml", ".json"}
    }
    assert all(str(root) not in text for text in texts.values())
    yaml: Any = importlib.import_module("yaml")
    known = yaml.safe_load(texts["mergekit.yml"])
    entries = {entry["model"]: entry["parameters"]["weight"] for entry in known["models"]}
    assert known["base_model"] == "./a/model"
    assert {name: weight[0]["value"] for name, weight in entries.items()} == {
        "./c/model": 0.5,
        "./b/model": -0.5,
    }
    assert "# A merge of a/model and c/model" in texts["README.md"]
    for line in ("| target | a/model |", "| base | b/model |", "| tuned | c/model |"):
        assert line in texts["README.md"]
    assert json.loads(texts["tvmerge.json"])["base"] == "b/model"
    command = re.search(r"^tvmerge merge .*$", texts["README.md"], re.MULTILINE)
    assert command is not None
    there = tmp_path / "there"
    shutil.copytree(root, there)
    monkeypatch.chdir(there)
    for name in ("tvmerge.toml", "tvmerge.json"):
        Path(name).write_text(texts[name])
    assert run(command[0].split()[1:]) == 0
    got, first = load_file("model/model.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.equal(tensor, first[name]) for name, tensor in got.items())


def test_where_a_model_lies_is_no_part_of_the_fingerprint(root: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(root, tmp_path / "deep" / "models"))
    for settings in (("a", None), ("ad", "c")):
        assert _open(root, *settings).fingerprint == _open(elsewhere, *settings).fingerprint
    assert _open(root, "ad").fingerprint != _open(root, "ad", base="a").fingerprint


def test_messages_name_the_model_that_is_meant(root: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(root, tmp_path / "models"))
    (damaged / "b" / "model" / "model.safetensors").unlink()
    with pytest.raises(Exception, match=r"b/model"):
        _open(damaged)
    merge = _open(root, "ad", base="c")
    assert [merge.sources[part].name for part in ("target.0", "target.1", "moe_base", "tuned")] == [
        *("a/model", "d/model", "c/model", "c/model")
    ]


def test_a_folder_whose_name_mergekit_reads_otherwise_gets_no_file(root: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(root / "c", tmp_path / "v1+lora"))
    vector = TaskVector(tuned=str(there / "model"), base=str(root / "b" / "model"))
    merge = open_request(MergeRequest(targets=(str(root / "a" / "model"),), vectors=(vector,)))
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 1.0)))
    assert not (tmp_path / "out" / "mergekit.yml").exists()
    assert (
        "no `mergekit.yml`: mergekit reads @ and + in a folder's name"
        in (tmp_path / "out" / "README.md").read_text()
    )
