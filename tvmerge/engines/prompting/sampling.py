"""Sampling that belongs to the question, not to the batch.

Every (question, turn, sample) has its own stream of uniform numbers, one for each new token, and a token is
drawn by inverting the cumulative distribution at that number. So an answer does not depend on what else is
in the batch, and every candidate of a search meets the same random numbers (common random numbers: the
difference between two candidates is less noisy than either).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from tvmerge._util.canonical import digest
from tvmerge.records import Question


def answer_seed(seed: int, question: Question, turn: int, sample: int) -> int:
    """Seed of one turn's stream: from what is asked, so that renumbering a benchmark changes nothing."""
    return int(digest([seed, list(question.turns), turn, sample])[:15], 16)


class SeededSampling(LogitsProcessor):
    """Turns a greedy decoder into a sampler with a seed and a temperature for each row.

    Args:
        temperatures: One a row; a row with 0 stays greedy.
        seeds: One a row.
        prompt_length: Tokens of the padded prompt, to know which step it is.
        max_new_tokens: The most tokens that are drawn for a row.
        drawn: How many tokens were drawn for each row before, its prompt's last ones; none unless given.
    """

    def __init__(
        self,
        temperatures: Sequence[float],
        seeds: Sequence[int],
        prompt_length: int,
        max_new_tokens: int,
        drawn: Sequence[int] = (),
    ) -> None:
        self._rows = [row for row, temperature in enumerate(temperatures) if temperature > 0]
        self._temperatures = torch.tensor([[temperatures[row]] for row in self._rows])
        used = drawn or [0] * len(seeds)
        self._uniform = torch.stack(
            [_stream(seeds[row], used[row] + max_new_tokens)[used[row] :] for row in self._rows]
        )
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leave each sampled row one finite score: the token drawn.

        Args:
            input_ids: (rows, tokens so far).
            scores: (rows, vocabulary) logits.
        """
        step = input_ids.shape[1] - self._prompt_length
        logits = scores[self._rows].double() / self._temperatures.to(scores.device)
        cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        # The last entry may fall short of 1 by rounding, hence the scaling.
        point = self._uniform[:, step : step + 1].to(scores.device) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, point, right=True).clamp_(max=scores.shape[1] - 1)
        result = scores.clone()
        result[self._rows] = float("-inf")
        result[torch.tensor(self._rows, device=scores.device), drawn.squeeze(1)] = 0.0
        return result


def _stream(seed: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(length, generator=generator, dtype=torch.float64)
