from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig

from tvmerge.engines.transformers.likelihood import WORTH, by_context, log_likelihoods
from tvmerge.records import Continuation, LogLikelihood

SIZE = 40
SHAPE: dict[str, Any] = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
CONFIGS = {
    "llama": LlamaConfig(**SHAPE),
    "sliding window": MistralConfig(**SHAPE, sliding_window=8),
    "learned positions": GPT2Config(vocab_size=SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=128),
}


def model_of(config: Any) -> Any:
    torch.manual_seed(0)
    factory: Any = AutoModelForCausalLM
    return factory.from_config(config, dtype=torch.float32).eval()


MODELS = {name: model_of(config) for name, config in CONFIGS.items()}
tokens = st.lists(st.integers(1, SIZE - 1), min_size=1, max_size=6).map(tuple)


def alone(model: Any, pair: Continuation) -> LogLikelihood:
    """The likelihood from a forward pass over this text and nothing else."""
    with torch.inference_mode():
        rows = torch.log_softmax(model(torch.tensor([[*pair.context, *pair.tokens]])).logits[0].double(), -1)
    rows = rows[len(pair.context) - 1 : -1]
    chosen = [row[token] for row, token in zip(rows, pair.tokens, strict=True)]
    greedy = [int(row.argmax()) == token for row, token in zip(rows, pair.tokens, strict=True)]
    return LogLikelihood(float(sum(chosen)), all(greedy))


@pytest.mark.parametrize("name", CONFIGS)
@given(
    beginning=st.lists(st.integers(1, SIZE - 1), max_size=2 * WORTH).map(tuple),
    contexts=st.lists(tokens, min_size=1, max_size=4),
    choices=st.lists(st.tuples(st.integers(0, 3), tokens), min_size=1, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_a_likelihood_does_not_depend_on_what_else_is_asked(
    name: str,
    beginning: tuple[int, ...],
    contexts: list[tuple[int, ...]],
    choices: list[tuple[int, tuple[int, ...]]],
) -> None:
    pairs = [Continuation((*beginning, *contexts[i % len(contexts)]), choice) for i, choice in choices]
    for pair, found in zip(pairs, log_likelihoods(MODELS[name], pairs, 0), strict=True):
        expected = alone(MODELS[name], pair)
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-5 * len(pair.tokens))
        assert found.greedy == expected.greedy


def test_paddings_behind_a_long_context_need_no_position_of_their_own() -> None:
    long, short = tuple(range(1, 31)) * 4, (7,)
    pairs = [Continuation(long, (n,)) for n in (1, 2)] + [Continuation(short, long[n:]) for n in (0, 1)]
    found = log_likelihoods(MODELS["learned positions"], pairs, 0)
    expected = [alone(MODELS["learned positions"], pair).logprob for pair in pairs]
    assert [one.logprob for one in found] == pytest.approx(expected, abs=1e-3)


def test_what_contexts_share_is_read_once() -> None:
    draw = random.Random(0)
    beginning = tuple(draw.randrange(1, SIZE) for _ in range(40))
    contexts = [(*beginning, *(draw.randrange(1, SIZE) for _ in range(20))) for _ in range(5)]
    pairs = [Continuation(context, (choice, 1)) for context in contexts for choice in (2, 3, 4)]
    # The beginning once, the rest of each context once, then two tokens per choice.
    assert tokens_read(MODELS["llama"], pairs) <= 40 + 5 * 20 + 15 * 2
    assert tokens_read(MODELS["sliding window"], pairs) == 15 * 61


def tokens_read(model: Any, pairs: list[Continuation]) -> int:
    """How many tokens, paddings included, pass through the model."""
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda _, args, __: seen.append(args[0].numel())
    )
    try:
        log_likelihoods(model, pairs, 0)
    finally:
        hook.remove()
    return sum(seen)


@given(st.lists(st.tuples(st.sampled_from([(1,), (1, 2), (3, 4, 5)]), tokens)), st.integers(1, 40))
def test_pairs_of_a_context_stay_together_as_far_as_the_budget_goes(
    texts: list[tuple[tuple[int, ...], tuple[int, ...]]], budget: int
) -> None:
    pairs = [Continuation(context, choice) for context, choice in texts]
    groups = by_context(pairs, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(pairs)))
    for group in groups:
        assert len({pairs[index].context for index in group}) == 1
        width = max(len(pairs[index].context) + len(pairs[index].tokens) for index in group)
        assert len(group) == 1 or len(group) * width <= budget
