"""A tied head that vectors move otherwise than the embeddings becomes a separate tensor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.checkpoints.lora.adapters import (
    assert_adds,
    by_peft,
    load,
    opened,
    peft,
    saved_adapter,
    written,
)
from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.card import CardFacts
from tvmerge.merging.export.merge_folder import merge_texts, write_experts, write_merge
from tvmerge.merging.live import load_into, new_model
from tvmerge.merging.open import Merge, open_merge, open_request
from tvmerge.merging.request import MergeRequest, MixtureSettings, TaskVector
from tvmerge.records import Recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # peft warns of ties

_FACTS = CardFacts()
TOKENS = torch.tensor([[3, 17, 42, 5, 9]])
HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("ties") / "base", "qwen2", seed=1, tie_word_embeddings=True)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("ties") / "target", "qwen2", seed=9, tie_word_embeddings=True)


def _is_tied(model: Any) -> bool:
    return bool(model.get_output_embeddings().weight is model.get_input_embeddings().weight)


@pytest.mark.parametrize(
    "settings",
    [
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens"]},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"], "use_dora": True},
        {"trainable_token_indices": {"embed_tokens": [5, 9], "lm_head": [6]}},
    ],
    ids=str,
)
def test_head_and_embeddings_each_get_what_the_adapter_trained(
    base: Path, target: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", **{"target_modules": ["q_proj"], **settings})
    merge = opened(target, adapter)
    told = "head and embeddings of target, which are one tensor there, are two here: adapter moves them "
    assert merge.remarks()[0].line() == f"{told}differently"
    assert_adds(merge, tmp_path, target, by_peft(base, adapter))
    config = json.loads((tmp_path / "merged-True" / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    # What peft's own merge of a tied model cannot give: the model that was trained, answer for answer.
    got = written(opened(base, adapter), tmp_path / "tuned", 1.0)
    with torch.no_grad():
        wanted = peft.PeftModel.from_pretrained(load(base), adapter).eval()(TOKENS).logits
        torch.testing.assert_close(got(TOKENS).logits, wanted, rtol=1e-5, atol=1e-5)
    assert not _is_tied(got)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj"]},
        {"trainable_token_indices": [3, 8]},
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True},
    ],
    ids=str,
)
def test_what_moves_both_alike_leaves_them_tied(
    base: Path, target: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", **{"target_modules": ["q_proj"], **settings})
    merge = opened(target, adapter)
    assert merge.config is None
    assert _is_tied(written(merge, tmp_path / "merged", 1.0))
    got = written(opened(base, adapter), tmp_path / "tuned", 1.0)
    with torch.no_grad():
        wanted = peft.PeftModel.from_pretrained(load(base), adapter).eval()(TOKENS).logits
        torch.testing.assert_close(got(TOKENS).logits, wanted, rtol=1e-5, atol=1e-5)


def test_the_head_has_a_weight_of_its_own(base: Path, target: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "embed_tokens", "lm_head"])
    merge = opened(target, adapter)
    assert merge.group_names == ("embeddings", "layers.0", "layers.1", "head")
    moved = Recipe({**dict.fromkeys(merge.group_names, 0.0), "head": 1.0})
    tensors = dict(merge.merger.merge(moved))
    own = load_file(target / "model.safetensors")[TABLE].float()
    assert torch.equal(tensors[TABLE], own)
    torch.testing.assert_close(tensors[HEAD], own + by_peft(base, adapter)[HEAD])
    assert "mergekit keeps a tied head tied" in merge_texts(merge, moved, _FACTS, {})["README.md"]


def test_a_live_model_is_built_untied(base: Path, target: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    merge = opened(target, adapter)
    assert merge.config is not None
    live = new_model(merge.config, dtype=torch.float32)
    recipe = Recipe(dict.fromkeys(merge.group_names, 0.5))
    load_into(live, merge.merger.merge(recipe))
    with torch.no_grad():
        answer = written(merge, tmp_path / "merged", 0.5)(TOKENS).logits
        torch.testing.assert_close(live(TOKENS).logits, answer)


def test_a_wrapper_is_untied_in_both_parts_of_its_configuration(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base", "gemma3", seed=1)
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=r".*language_model.*q_proj|lm_head")
    merge = opened(base, adapter)
    assert_adds(merge, tmp_path, base, by_peft(base, adapter))
    config = json.loads((tmp_path / "merged-True" / "config.json").read_text())
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False


def test_a_second_copy_of_the_head_in_the_file_is_the_head(base: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(base, tmp_path / "base"))
    tensors = load_file(copied / "model.safetensors")
    save_file({**tensors, HEAD: tensors[TABLE].clone()}, copied / "model.safetensors", {"format": "pt"})
    adapter = saved_adapter(copied, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    assert_adds(opened(copied, adapter), tmp_path, copied, by_peft(copied, adapter))


def test_tokens_that_are_skipped_untie_nothing(base: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(base, tmp_path / "base"))
    words = [f"w{number}" for number in range(64)]
    save_tokenizer(base, words)
    target = saved_model(tmp_path / "target", "qwen2", seed=9, vocab_size=66, tie_word_embeddings=True)
    save_tokenizer(target, [*words, "a", "b"])
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    assert opened(target, adapter, vocabulary="skip").config is None
    assert opened(target, adapter).config is not None


def _untied_twin(folder: Path, place: Path, move: dict[str, float]) -> Path:
    """The model in `folder` as an untied one, with tensors moved by so much."""
    shutil.copytree(folder, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    tensors = load_file(place / "model.safetensors")
    tensors[HEAD] = tensors[TABLE].clone()
    for name, step in move.items():
        tensors[name] += step
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    return place


def _merge(target: Path, base: Path, tuned: Path) -> Merge:
    return open_merge(str(target), str(base), str(tuned), "layer", dtype=torch.float32)


@pytest.mark.parametrize(
    ("moved", "tied"),
    [
        ({HEAD: 0.5}, False),
        ({TABLE: 0.5}, False),
        ({HEAD: 0.5, TABLE: 0.5}, True),
        ({"model.layers.0.mlp.up_proj.weight": 0.5}, True),
    ],
    ids=str,
)
def test_a_tuned_model_with_a_head_of_its_own_unties_a_tied_target_if_it_moved_it(
    base: Path, target: Path, tmp_path: Path, moved: dict[str, float], tied: bool
) -> None:
    tuned = _untied_twin(base, tmp_path / "tuned", moved)
    for start in (base, _untied_twin(base, tmp_path / "start", {})):
        _check_untied(target, start, tuned, tmp_path / f"from-{start.name}", tied=tied)


def _check_untied(target: Path, start: Path, tuned: Path, folder: Path, *, tied: bool) -> None:
    merge = _merge(target, start, tuned)
    assert (merge.config is None) is tied
    got, own = written(merge, folder, 1.0), load(target)
    assert _is_tied(got) is tied
    before, after = load(start).state_dict(), load(tuned).state_dict()
    for name, tensor in got.state_dict().items():
        wanted = own.state_dict()[name] + after[name] - before[name]
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=1e-5)


def test_a_tied_vector_moves_both_of_an_untied_target(base: Path, target: Path, tmp_path: Path) -> None:
    untied = _untied_twin(target, tmp_path / "untied", {HEAD: 0.25})
    tuned = saved_model(tmp_path / "tuned", "qwen2", seed=4, tie_word_embeddings=True)
    merge = _merge(untied, base, tuned)
    got, own = written(merge, tmp_path / "merged", 1.0).state_dict(), load(untied).state_dict()
    step = load(tuned).state_dict()[TABLE] - load(base).state_dict()[TABLE]
    for name in (HEAD, TABLE):
        torch.testing.assert_close(got[name], own[name] + step, rtol=0, atol=1e-5)


@pytest.mark.parametrize("second", ["tied", "untied"])
def test_a_mixture_is_untied_as_a_whole(base: Path, target: Path, tmp_path: Path, second: str) -> None:
    place = tmp_path / "llama"
    targets = [
        saved_model(place / str(seed), "llama", seed=seed, tie_word_embeddings=seed == 2 or second == "tied")
        for seed in (2, 3)
    ]
    start = saved_model(place / "start", "llama", seed=1, tie_word_embeddings=True)
    modules = ["q_proj", "lm_head"] if second == "tied" else ["q_proj"]
    adapter = saved_adapter(start, tmp_path / "adapter", target_modules=modules)
    request = MergeRequest(
        targets=tuple(map(str, targets)),
        vectors=(TaskVector(tuned=str(adapter)),),
        dtype="float32",
        mixture=MixtureSettings(gate="uniform"),
    )
    merge = open_request(request)
    assert merge.config is not None
    assert merge.config["tie_word_embeddings"] is False
    recipe = Recipe(dict.fromkeys(merge.group_names, 1.0))
    write_merge(merge, tmp_path / "merged", recipe)
    got, own = load(tmp_path / "merged").state_dict(), load(targets[0]).state_dict()
    delta = by_peft(start, adapter)[HEAD]
    torch.testing.assert_close(got[HEAD], own[HEAD] + delta, rtol=0, atol=1e-5)
    torch.testing.assert_close(got[TABLE], own[TABLE], rtol=0, atol=1e-6)
    folders = write_experts(merge, tmp_path / "experts", recipe)
    dense = load(folders[1]).state_dict()
    torch.testing.assert_close(dense[HEAD], load(targets[1]).state_dict()[HEAD] + delta, rtol=0, atol=1e-5)


def test_code_that_is_none_of_transformers_is_not_untied(base: Path, target: Path, tmp_path: Path) -> None:
    from tvmerge.merging.checkpoints.untied import untied_structure

    config = json.loads((target / "config.json").read_text())
    with pytest.raises(CheckpointError, match="target has its own modelling code, so its head cannot be"):
        untied_structure(config | {"model_type": "homemade"}, "target")
