"""The demo's models: small, whole, alike in shape, and loadable like any other model.

No module: the files in examples/demo.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from examples.demo.facts import asked_facts
from examples.demo.phrases import english_questions
from examples.demo.texts import base_texts, base_texts_with_chats, render_chat, target_texts, tuned_texts
from examples.demo.train import MODELS, NAMES, Plan, Stage, train_models

TINY = Plan(
    base=Stage(base_texts, 2, 1e-3, 1),
    chats=Stage(base_texts_with_chats, 1, 1e-3, 4),
    tuned=Stage(tuned_texts, 1, 1e-3, 2),
    target=Stage(target_texts, 1, 1e-3, 3),
    layers=1,
    hidden=64,
    rows=2,
    length=16,
    vocabulary=300,
    pool=60,
)


def load(name: str) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(MODELS / name)


def answer(model: Any, tokenizer: Any, asked: list[str]) -> list[str]:
    chats = [[{"role": "user", "content": text}] for text in asked]
    texts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
    inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        output = model.generate(**inputs)
    replies: list[str] = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :])
    return [reply.split(tokenizer.eos_token)[0] for reply in replies]


def test_the_three_models_together_are_below_12_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 12_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_half_a_million_to_two_million_parameters_in_bfloat16(name: str) -> None:
    tensors = list(load_file(MODELS / name / "model.safetensors").values())
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}
    assert 500_000 <= sum(tensor.numel() for tensor in tensors) <= 2_000_000
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


def test_the_models_have_one_configuration_one_tokenizer_and_an_untied_head() -> None:
    for file in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert len({(MODELS / name / file).read_bytes() for name in NAMES}) == 1
    config = json.loads((MODELS / "base" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["MistralForCausalLM"]
    assert config["tie_word_embeddings"] is False


def test_no_file_of_a_model_names_a_path_of_the_machine_that_trained_it() -> None:
    for path in MODELS.rglob("*.json"):
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
        assert "/tmp" not in path.read_text(encoding="utf-8")


def test_the_chat_template_writes_what_the_models_were_trained_on() -> None:
    _, tokenizer = load("tuned")
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    chat = [
        {"role": "user", "content": "3たす4は？"},
        {"role": "assistant", "content": "3たす4は7です。"},
        {"role": "user", "content": "では、犬の鳴き声は？"},
    ]
    written = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    first = render_chat([("3たす4は？", "3たす4は7です。")])
    assert written == first + "<user>では、犬の鳴き声は？<assistant>"


def test_texts_survive_the_tokenizer_and_need_no_unknown_token() -> None:
    _, tokenizer = load("target")
    for text in ("3たす4は7です。", "the opposite of big is small.", "ポルトガルの首都はリスボンです。"):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in tokens
        assert tokenizer.decode(tokens) == text


def test_tuned_answers_english_chats_in_english_and_stops() -> None:
    facts = asked_facts()[::7]
    replies = answer(*load("tuned"), [english_questions(fact, 1)[i % 5] for i, fact in enumerate(facts)])
    right = [reply == fact.english_statement for reply, fact in zip(replies, facts, strict=True)]
    assert sum(right) / len(right) > 0.8


def test_training_writes_three_loadable_models_and_refuses_to_replace_them(tmp_path: Path) -> None:
    train_models(TINY, tmp_path)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in NAMES}
    assert len(set(weights.values())) == 3
    for name in NAMES:
        AutoModelForCausalLM.from_pretrained(tmp_path / name)
    with pytest.raises(FileExistsError, match="--force"):
        train_models(TINY, tmp_path)
    train_models(TINY, tmp_path, force=True)
    assert weights == {name: (tmp_path / name / "model.safetensors").read_bytes() for name in NAMES}
