"""The model card: what hubs read, what people read, and no word of where files lay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.merging.families import saved_model
from tests.merging.hub import COMMIT, hub
from tvmerge.merging.export.card import CardFacts, licence_of
from tvmerge.merging.export.merge_folder import merge_texts, write_merge
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

_FACTS = CardFacts(
    scores=[
        {"model": "merged", "mean": 7.25, "se": 0.1},
        {"model": "target | plain", "mean": 5.5, "se": 0.2},
    ],
    notes=["Judged by a rule."],
)


def _licensed(folder: Path, front: str) -> Path:
    (folder / "README.md").write_text(f"---\n{front}\n---\n# A model\nlicense: not this one\n")
    return folder


@pytest.fixture
def merge(llama_folders: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Merge:
    target, base, _ = llama_folders
    tuned = _licensed(saved_model(tmp_path / "tuned", "llama", seed=7), "license: other\nlicense_name: gemma")
    with hub({"owner/base": base, "owner/tuned": tuned}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        vector = TaskVector(tuned="owner/tuned", base="owner/base", rules=GroupRules(freeze=("lm_head",)))
        request = MergeRequest(targets=(str(target),), vectors=(vector,))
        return open_request(request, cache_dir=tmp_path / "cache")


def test_a_card_tells_hubs_and_people_what_the_model_is(merge: Merge, tmp_path: Path) -> None:
    recipe = Recipe(dict.fromkeys(merge.group_names, 0.625))
    write_merge(merge, tmp_path / "out", recipe, facts=_FACTS)
    text = (tmp_path / "out" / "README.md").read_text()
    metadata: Any = ModelCard(text).data
    data = metadata.to_dict()
    assert data == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["merge", "tvmerge"],
        "base_model": ["owner/base", "owner/tuned"],
        "base_model_relation": "merge",
        "license": "other",
        "license_name": "those-of-all-parents",
    }
    for line in (
        f"| tuned | owner/tuned@{COMMIT} | gemma |",
        f"| base | owner/base@{COMMIT} | not stated |",
        "| layers.0 | 0.625 |",
        "| target \\| plain | 5.5 | 0.2 |",
        "tvmerge merge --config tvmerge.toml --weights tvmerge.json --output-dir model",
        "- no weight, as in the target: lm_head.weight (frozen by 'lm_head')",
        "Judged by a rule.",
        "`mergekit.yml` makes mergekit write the same model",
    ):
        assert line in text
    assert str(tmp_path) not in text
    config = (tmp_path / "out" / "mergekit.yml").read_text()
    assert str(tmp_path) not in config
    assert f'model: "owner/tuned@{COMMIT}"' in config
    assert "0.625" in config


def test_parents_of_one_licence_give_it_to_their_merge(tmp_path: Path) -> None:
    folders = [saved_model(tmp_path / name, "llama", seed=seed) for seed, name in enumerate("tbu")]
    for folder in folders:
        _licensed(folder, "license: apache-2.0\ntags:\n- x")
    vector = TaskVector(tuned=str(folders[2]), base=str(folders[1]))
    merge = open_request(MergeRequest(targets=(str(folders[0]),), vectors=(vector,)))
    card = merge_texts(merge, Recipe(dict.fromkeys(merge.group_names, 1.0)), CardFacts(), {})["README.md"]
    metadata: Any = ModelCard(card).data
    data = metadata.to_dict()
    assert data["license"] == "apache-2.0"
    assert "base_model" not in data, "local folders are no names a hub knows"


def test_a_long_recipe_is_folded_away(llama_folders: tuple[Path, ...]) -> None:
    target, base, tuned = map(str, llama_folders)
    vector = TaskVector(tuned=tuned, base=base, rules=GroupRules("all"))
    merge = open_request(MergeRequest(targets=(target, target, target, target, target), vectors=(vector,)))
    card = merge_texts(merge, Recipe(dict.fromkeys(merge.group_names, 1.0)), CardFacts(), {})["README.md"]
    assert f"<details><summary>{len(merge.group_names)} weights</summary>" in card
    assert "5 experts, 2 a token, gates random (seed 0)" in card
    assert "There is no `mergekit.yml`: mergekit makes mixtures of dense models on disk only" in card


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: mit", "mit"),
        ("license: 'mit'", "mit"),
        ("license: other\nlicense_name: llama3", "llama3"),
        ("license: other", "other"),
        ("license: mit # like the others", "mit"),
        ("license: 'no: \"key\"'", 'no: "key'),
        (f"license: a{' ' * 1_000_000}b", None),
        ("tags: [x]", None),
    ],
)
def test_a_licence_is_read_from_a_cards_metadata_alone(
    tmp_path: Path, front: str, licence: str | None
) -> None:
    assert licence_of(_licensed(tmp_path, front)) == licence


def test_a_model_without_a_card_states_no_licence(tmp_path: Path) -> None:
    assert licence_of(tmp_path) is None


def test_a_card_without_an_end_of_its_metadata_is_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---" + "\n" * 5_000_000)
    assert licence_of(tmp_path) is None


@pytest.mark.parametrize(
    "said", ["mit\u2028x", "no", "[a](b): {c}", "<b>|", "'", "x\rbase_model: a/b", "a\x00b"]
)
def test_whatever_a_parents_card_says_the_metadata_can_be_read(tmp_path: Path, said: str) -> None:
    folders = [saved_model(tmp_path / name, "llama", seed=seed) for seed, name in enumerate("tbu")]
    for folder in folders:
        (folder / "README.md").write_bytes(f"---\nlicense: {said}\n---\n".encode())
    vector = TaskVector(tuned=str(folders[2]), base=str(folders[1]))
    merge = open_request(MergeRequest(targets=(str(folders[0]),), vectors=(vector,)))
    card = merge_texts(merge, Recipe(dict.fromkeys(merge.group_names, 1.0)), CardFacts(), {})["README.md"]
    metadata: Any = ModelCard(card).data
    data = metadata.to_dict()
    assert data["license"] == ("no" if said == "no" else "other" if said != "x\rbase_model: a/b" else "x")
    assert "base_model" not in data
    assert data["tags"] == ["merge", "tvmerge"]
    assert "[a](b)" not in card
    assert "<b>" not in card
    assert "\x00" not in card
