"""Log-likelihoods of continuations with a transformers model; shared prefixes are computed once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tvmerge.records import Continuation, LogLikelihood

WORTH = 16
"""Minimum length of a shared prefix, in tokens, for a separate pass to be faster."""


def by_context(pairs: Sequence[Continuation], budget: int) -> list[list[int]]:
    """Return the indices of each context's pairs, as many per batch as fit `budget` tokens, at least one."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, pair in enumerate(pairs):
        places.setdefault(pair.context, []).append(index)
    groups = []
    for context, indices in places.items():
        step = max(1, budget // (len(context) + max(len(pairs[index].tokens) for index in indices)))
        groups += [indices[start : start + step] for start in range(0, len(indices), step)]
    return groups


@torch.inference_mode()
def log_likelihoods(model: Any, pairs: Sequence[Continuation], pad_id: int) -> list[LogLikelihood]:
    """Return log p(tokens | context) of each pair.

    If the model has a plain key-value cache, the common prefix of all contexts is read in one row, then the
    rest of each context in one row each, and last each continuation in one row. Rows are padded on the right,
    where causal attention does not see the padding. Logits (float32, rows x positions x vocabulary) are kept
    only from the first continuation on.
    """
    contexts = list(dict.fromkeys(pair.context for pair in pairs))
    text = _Text(model, pad_id)
    starts = dict.fromkeys(contexts, 0)
    if len(pairs) > 1 and _remembers(model):
        starts = _read_shared(text, contexts, apart=len(contexts) == len(pairs))
        place = {context: row for row, context in enumerate(contexts)}
        text.spread([place[pair.context] for pair in pairs])
    # The last token of a text predicts nothing within it.
    rows = [(*pair.context[starts[pair.context] :], *pair.tokens[:-1]) for pair in pairs]
    # The logits at a position predict the next token.
    ahead = [len(pair.context) - starts[pair.context] - 1 for pair in pairs]
    logits = text.read(rows, first=min(ahead))
    return [
        _one(pair, row[skip - min(ahead) :]) for pair, row, skip in zip(pairs, logits, ahead, strict=True)
    ]


def _read_shared(
    text: _Text, contexts: Sequence[tuple[int, ...]], *, apart: bool
) -> dict[tuple[int, ...], int]:
    """Read the contexts' common prefix and, unless `apart`, the contexts; return how far each was read.

    A context's last token is read with its continuations, since it predicts their first token.
    """
    heads = [context[:-1] for context in contexts]
    shared = _common(heads) if len(heads) > 1 else 0
    if shared >= WORTH:
        text.read([heads[0][:shared]])
        text.spread([0] * len(heads))
    else:
        shared = 0
    if apart:
        return dict.fromkeys(contexts, shared)
    if any(len(head) > shared for head in heads):
        text.read([head[shared:] for head in heads])
    return {context: len(head) for context, head in zip(contexts, heads, strict=True)}


def _common(texts: Sequence[tuple[int, ...]]) -> int:
    """Return the length of the common prefix of all texts, in tokens."""
    # The common prefix of the first and the last in sorted order is that of all.
    low, high = min(texts), max(texts)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False)))


class _Text:
    """Rows of text that a model reads in pieces.

    Args:
        model: A transformers model.
        pad_id: The token id for padding.
    """

    def __init__(self, model: Any, pad_id: int) -> None:
        self._model = model
        self._pad_id = pad_id
        self._cache: DynamicCache | None = None
        self._mask = torch.zeros((1, 0), dtype=torch.long)

    def spread(self, rows: Sequence[int]) -> None:
        """Continue with copies of the given rows."""
        if self._cache is not None:
            index = torch.tensor(rows)
            self._cache.batch_select_indices(index.to(self._model.device))
            self._mask = self._mask[index]

    def read(self, rows: Sequence[Sequence[int]], first: int | None = None) -> torch.Tensor:
        """Read the next piece of each row.

        Args:
            rows: The tokens of each piece.
            first: Position in the pieces from which logits are wanted; None if more text follows, so the
                model must keep its cache.

        Returns:
            Logits of shape (rows, positions from `first` on, vocabulary).
        """
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._pad_id)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : len(row)] = 1
        before = self._mask.expand(len(rows), -1)
        self._mask = torch.cat([before, mask], dim=1)
        memory: dict[str, Any] = {"use_cache": False}
        if first is None or self._cache is not None:
            if self._cache is None:
                self._cache = DynamicCache(config=self._model.config)
            # With padding between pieces, a token's position is not its index; padding has no position.
            positions = (before.sum(dim=1, keepdim=True) + torch.arange(width)) * mask
            memory = {
                "use_cache": True,
                "past_key_values": self._cache,
                "position_ids": positions.to(self._model.device),
            }
        output = self._model(
            input_ids=ids.to(self._model.device),
            attention_mask=self._mask.to(self._model.device),
            logits_to_keep=torch.arange(width - 1 if first is None else first, width),
            **memory,
        )
        logits: torch.Tensor = output.logits
        return logits


def _remembers(model: Any) -> bool:
    """Return whether the model's cache has keys and values of every token, so it can be padded and copied.

    A sliding window would count padding, a recurrent state would read it, and what a model with remote code
    does is unknown.
    """
    if not type(model).__module__.startswith("transformers."):
        return False
    layers = DynamicCache(config=model.config).layers
    plain = bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
    return plain and "position_ids" in inspect.signature(model.forward).parameters


def _one(pair: Continuation, logits: torch.Tensor) -> LogLikelihood:
    """Return the log-likelihood of one pair, given logits (positions, vocabulary) from its first token on."""
    logprobs = torch.log_softmax(logits[: len(pair.tokens)].float(), dim=-1)
    tokens = torch.tensor(pair.tokens, device=logits.device)
    chosen = logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1)
    return LogLikelihood(float(chosen.double().sum()), bool((logprobs.argmax(dim=-1) == tokens).all()))
