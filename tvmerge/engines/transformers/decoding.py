"""Generates new tokens for a batch of prompts with transformers' `generate`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.sampling import SeededSampling
from tvmerge.engines.prompting.stop_tokens import until_stop
from tvmerge.records import Finish


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt of a batch.

    Attributes:
        ids: Token ids of the prompt.
        temperature: 0 is greedy.
        seed: Seed of its stream of random numbers; unused if greedy.
        drawn: How many tokens at the end of `ids` were generated, which have used as many numbers of the
            stream.
    """

    ids: Sequence[int]
    temperature: float
    seed: int
    drawn: int = 0


@torch.inference_mode()
def decode(
    model: Any,
    chat: ChatFormat,
    rows: Sequence[Row],
    *,
    limit: int,
    stop: Sequence[str],
    halted: threading.Event,
) -> list[tuple[list[int], Finish]]:
    """Return each row's new token ids, without the stop token and padding, and why the row ended.

    Args:
        model: A transformers model whose generation config has only the special tokens.
        chat: Its tokenizer.
        rows: The prompts, which are padded on the left.
        limit: Maximum number of new tokens.
        stop: Texts that end a row.
        halted: When set, ends the batch at its next token.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), model.generation_config.pad_token_id)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row.ids) :] = torch.tensor(row.ids)
        mask[place, width - len(row.ids) :] = 1
    criteria: list[StoppingCriteria] = [_Halt(halted)]
    if stop:
        criteria.append(_StopTexts(chat, stop, width))
    output = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        do_sample=False,
        max_new_tokens=limit,
        logits_processor=LogitsProcessorList(_samplers(rows, width, limit)),
        stopping_criteria=StoppingCriteriaList(criteria),
    )
    ends = model.generation_config.eos_token_id or []
    new = cast("torch.Tensor", output)[:, width:].tolist()
    return [_ending(tokens, ends, chat, stop) for tokens in new]


class _Halt(StoppingCriteria):
    """Ends all rows when an event is set."""

    def __init__(self, halted: threading.Event) -> None:
        self._halted = halted

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        rows = input_ids.shape[0]
        return torch.full((rows,), self._halted.is_set(), device=input_ids.device)


class _StopTexts(StoppingCriteria):
    """Ends a row when its last few tokens contain one of the stop texts."""

    def __init__(self, chat: ChatFormat, stop: Sequence[str], prompt_length: int) -> None:
        self._chat = chat
        self._stop = stop
        self._start = prompt_length
        # A token has at least one byte; a few more, since a text's first token may lose its space.
        self._tail = max(len(text.encode()) for text in stop) + 8

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        tails = input_ids[:, max(self._start, input_ids.shape[1] - self._tail) :].tolist()
        texts = self._chat.tokenizer.batch_decode(tails, skip_special_tokens=True)
        ended = [any(end in text for end in self._stop) for text in texts]
        return torch.tensor(ended, device=input_ids.device)


def _samplers(rows: Sequence[Row], width: int, limit: int) -> list[SeededSampling]:
    temperatures = [row.temperature for row in rows]
    if not any(temperatures):
        return []
    seeds, drawn = [row.seed for row in rows], [row.drawn for row in rows]
    return [SeededSampling(temperatures, seeds, width, limit, drawn)]


def _ending(
    tokens: Sequence[int], ends: Sequence[int], chat: ChatFormat, stop: Sequence[str]
) -> tuple[list[int], Finish]:
    ids, ended = until_stop(tokens, ends)
    text = chat.tokenizer.decode(ids, skip_special_tokens=True) if stop and not ended else ""
    return ids, "stop" if ended or any(end in text for end in stop) else "length"
