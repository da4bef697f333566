"""What the demo is for: a weight per layer beats the target, the plain task vector and every uniform weight.

Merged and generated here by hand, so that the demo's claim does not rest on the code it demonstrates.

No module: the files in examples/demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from examples.demo.generate import benchmark_questions
from examples.demo.train import MODELS, NAMES
from tvmerge.judging.judges.rules import rate
from tvmerge.records import Answer, Finish

HELD_OUT = [question for question in benchmark_questions() if question.split == "holdout"]

# Found by 110 trials of multivariate TPE (seed 1) on the search half alone.
BY_LAYER = {
    "embed_tokens": 0.91,
    "layers.0": 0.02,
    "layers.1": 0.81,
    "layers.2": 0.29,
    "layers.3": 0.05,
    "layers.4": 0.44,
    "model.norm": 1.10,
    "lm_head": 1.15,
}

Chats = list[list[dict[str, str]]]


def merged(weights: Mapping[str, float]) -> Any:
    base, tuned, target = (load_file(MODELS / name / "model.safetensors") for name in NAMES)
    model = AutoModelForCausalLM.from_pretrained(MODELS / "target", dtype=torch.float32)
    state = {}
    for name in target:
        [weight] = [weight for group, weight in weights.items() if group in name]
        delta = tuned[name].float() - base[name].float()
        state[name] = (target[name].float() + weight * delta).bfloat16().float()
    model.load_state_dict(state)
    return model


def reply(model: Any, tokenizer: Any, chats: Chats) -> list[Finish]:
    texts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
    inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        new = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    finishes: list[Finish] = []
    for chat, tokens in zip(chats, new, strict=True):
        chat.append({"role": "assistant", "content": tokenizer.decode(tokens, skip_special_tokens=True)})
        finishes.append("stop" if tokenizer.eos_token_id in tokens.tolist() else "length")
    return finishes


def held_out_mean(weights: Mapping[str, float]) -> float:
    model, tokenizer = merged(weights), AutoTokenizer.from_pretrained(MODELS / "target")
    chats: Chats = [[] for _ in HELD_OUT]
    finishes = []
    for turn in (0, 1):
        for chat, question in zip(chats, HELD_OUT, strict=True):
            chat.append({"role": "user", "content": question.turns[turn]})
        finishes.append(reply(model, tokenizer, chats))
    ratings = []
    for chat, question, *finish in zip(chats, HELD_OUT, *finishes, strict=True):
        said = Answer(question.question_id, (chat[1]["content"], chat[3]["content"]), tuple(finish))
        ratings += [rate(question, said, turn)[0] for turn in (1, 2)]
    return sum(ratings) / len(ratings)


@cache
def uniform_mean(weight: float) -> float:
    return held_out_mean(dict.fromkeys(BY_LAYER, weight))


@pytest.fixture(scope="module")
def by_layer() -> float:
    return held_out_mean(BY_LAYER)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_weight_a_layer_beats_the_target_and_the_plain_task_vector(by_layer: float, weight: float) -> None:
    assert by_layer >= uniform_mean(weight) + 1.5


@pytest.mark.parametrize("weight", [0.6, 0.7, 0.8])
def test_a_weight_a_layer_beats_the_best_uniform_weights(by_layer: float, weight: float) -> None:
    assert by_layer >= uniform_mean(weight) + 0.7


def test_neither_baseline_is_hopeless_nor_the_best_perfect(by_layer: float) -> None:
    assert 3 < uniform_mean(0.0) < uniform_mean(1.0) < by_layer < 9.9
