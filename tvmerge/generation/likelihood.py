"""How likely a transformers model finds given continuations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tvmerge.records import Continuation, LogLikelihood


@torch.inference_mode()
def log_likelihoods(model: Any, pairs: Sequence[Continuation], pad_id: int) -> list[LogLikelihood]:
    """Log p(tokens | context) of each pair, in one forward pass.

    Rows are padded on the right, where causal attention never looks, so positions are those of a row alone.
    Logits (float32, rows x positions x vocabulary) are kept from the first continuation on only.
    """
    texts = [(*pair.context, *pair.tokens) for pair in pairs]
    width = max(map(len, texts))
    ids = torch.full((len(texts), width), pad_id)
    mask = torch.zeros_like(ids)
    for place, text in enumerate(texts):
        ids[place, : len(text)] = torch.tensor(text)
        mask[place, : len(text)] = 1
    # The logits at a position predict the token behind it.
    first = min(len(pair.context) for pair in pairs) - 1
    kept = torch.arange(first, width - 1, device=model.device)
    logits = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        logits_to_keep=kept,
        use_cache=False,
    ).logits
    return [_one(pair, row[len(pair.context) - 1 - first :]) for pair, row in zip(pairs, logits, strict=True)]


def _one(pair: Continuation, logits: torch.Tensor) -> LogLikelihood:
    """From logits (positions, vocabulary) whose first row predicts the first token of the continuation."""
    logprobs = torch.log_softmax(logits[: len(pair.tokens)].float(), dim=-1)
    tokens = torch.tensor(pair.tokens, device=logits.device)
    chosen = logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1)
    return LogLikelihood(float(chosen.double().sum()), bool((logprobs.argmax(dim=-1) == tokens).all()))
