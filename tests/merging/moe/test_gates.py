"""Routers: seeded, of the right scale, or pointing where the prompts say."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge._util.cache import ContentCache
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.moe.gates import draw_gates, hidden_gates
from tvmerge.merging.request import ExpertPrompts, Gate, MixtureSettings

_SHAPE = (3, 4, 1024)


def _gates(gate: Gate, seed: int = 0) -> torch.Tensor:
    return draw_gates(MixtureSettings(gate=gate, seed=seed), shape=_SHAPE, spread=0.02)


@pytest.mark.parametrize(
    ("gate", "spread"), [("random", 0.02), ("uniform", 1 / math.sqrt(3 * 1024)), ("zeros", 0)]
)
def test_gates_have_their_shape_and_spread(gate: Gate, spread: float) -> None:
    gates = _gates(gate)
    assert (gates.shape, gates.dtype) == (_SHAPE, torch.float32)
    assert float(gates.std()) == pytest.approx(spread, rel=0.05)
    assert float(gates.mean()) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("gate", ["random", "uniform"])
def test_the_seed_decides_random_gates(gate: Gate) -> None:
    assert torch.equal(_gates(gate, 1), _gates(gate, 1))
    assert not torch.equal(_gates(gate, 1), _gates(gate, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = saved_model(tmp_path_factory.mktemp("gates") / "dense", "llama", seed=1)
    save_tokenizer(folder, [f"w{number}" for number in range(64)])
    return folder


def _router_inputs(folder: Path, tokens: list[int]) -> torch.Tensor:
    """Each layer's normed input of the MLP at the last token, by hand."""
    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(folder, dtype="auto")
    states = []
    with torch.no_grad():
        hidden = model.model.embed_tokens(torch.tensor([tokens]))
        positions = torch.arange(len(tokens))[None]
        rotary = model.model.rotary_emb(hidden, positions)
        for layer in model.model.layers:
            attended, _ = layer.self_attn(layer.input_layernorm(hidden), position_embeddings=rotary)
            hidden = hidden + attended
            states.append(layer.post_attention_layernorm(hidden)[0, -1].float())
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return torch.stack(states)


def test_hidden_gates_point_from_negative_to_positive_prompts_in_what_the_router_sees(folder: Path) -> None:
    prompts = (
        ExpertPrompts(positive=("w3", "w5"), negative=("w7",)),
        ExpertPrompts(positive=("w9",)),
    )
    gates = hidden_gates(Checkpoint(folder), prompts)
    state = {token: _router_inputs(folder, [token]) for token in (3, 5, 7, 9)}
    expected = torch.stack([(state[3] + state[5]) / 2 - state[7], state[9]], dim=1)
    expected /= expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(gates, expected, rtol=2e-2, atol=2e-3)


def test_the_last_token_of_a_prompt_decides_in_the_light_of_those_before(folder: Path) -> None:
    gates = hidden_gates(Checkpoint(folder), (ExpertPrompts(positive=("w3 w4 w5",)),) * 2)
    assert torch.equal(gates[:, 0], gates[:, 1])
    other = hidden_gates(Checkpoint(folder), (ExpertPrompts(positive=("w9 w4 w5",)),) * 2)
    assert not torch.equal(gates, other)


class _Counting(ContentCache):
    """A cache that counts what is put into it."""

    puts = 0

    def put(self, key: str, value: object) -> None:
        self.puts += "float32" in repr(value)
        super().put(key, value)


def test_hidden_gates_are_measured_once_for_a_model_and_its_prompts(folder: Path, tmp_path: Path) -> None:
    cache = _Counting(tmp_path / "cache")
    prompts = (ExpertPrompts(positive=("w3",)), ExpertPrompts(positive=("w5",)))
    first, again = (hidden_gates(Checkpoint(folder, digest_cache=cache), prompts) for _ in range(2))
    assert torch.equal(first, again)
    assert first.dtype == again.dtype
    assert cache.puts == 1
    other = hidden_gates(Checkpoint(folder, digest_cache=cache), prompts[::-1])
    assert torch.equal(other, first.flip(1))
    assert cache.puts == 2
    cache.close()


def test_a_prompt_without_a_token_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="the prompt '' has no token"):
        hidden_gates(Checkpoint(folder), (ExpertPrompts(positive=("",)),) * 2)


def test_a_model_that_cannot_run_is_named(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    shutil.copytree(folder, empty)
    (empty / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="empty: gate hidden has to run it and cannot"):
        hidden_gates(Checkpoint(empty), (ExpertPrompts(positive=("w3",)),) * 2)
