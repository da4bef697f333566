"""Sampling that does not depend on the batch.

Every (question, turn, sample) has its own stream of uniform numbers, one for each new token, and a token is
drawn by inverting the cumulative distribution at that number. So an answer does not depend on the rest of the
batch, and every candidate of a search gets the same random numbers (common random numbers, which reduce the
variance of the difference between two candidates).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from tvmerge._util.canonical import digest
from tvmerge.records import Question


def answer_seed(seed: int, question: Question, turn: int, sample: int) -> int:
    """Return the seed of a turn's stream, computed from the question's text and not its number."""
    return int(digest([seed, list(question.turns), turn, sample])[:15], 16)


class SeededSampling(LogitsProcessor):
    """A logits processor that samples each row with its own seed and temperature in a greedy decoder.

    Args:
        temperatures: One temperature per row; 0 is greedy.
        seeds: One seed per row.
        prompt_length: Number of tokens of the padded prompt, from which the step is computed.
        max_new_tokens: Maximum number of tokens drawn per row.
        drawn: Number of tokens at the end of each row's prompt that were drawn before; default: none.
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
        """Set all scores of a sampled row but that of the drawn token to minus infinity.

        Args:
            input_ids: (rows, tokens so far).
            scores: (rows, vocabulary) logits.
        """
        step = input_ids.shape[1] - self._prompt_length
        logits = scores[self._rows].double() / self._temperatures.to(scores.device)
        cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        # Scaled, since rounding may leave the last entry below 1.
        point = self._uniform[:, step : step + 1].to(scores.device) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, point, right=True).clamp_(max=scores.shape[1] - 1)
        result = scores.clone()
        result[self._rows] = float("-inf")
        result[torch.tensor(self._rows, device=scores.device), drawn.squeeze(1)] = 0.0
        return result


def _stream(seed: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(length, generator=generator, dtype=torch.float64)
