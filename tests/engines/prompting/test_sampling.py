"""Seeded sampling: the right distribution, greedy rows untouched, streams of their own."""

from __future__ import annotations

import math

import torch

from tvmerge.engines.prompting.sampling import SeededSampling, answer_seed
from tvmerge.records import Question


def test_tokens_are_drawn_with_the_probabilities_of_the_tempered_softmax() -> None:
    rows, temperature = 20_000, 0.7
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, float("-inf")])
    sampler = SeededSampling([temperature] * rows, list(range(rows)), prompt_length=3, max_new_tokens=2)
    chosen = sampler(torch.zeros(rows, 4, dtype=torch.long), logits.repeat(rows, 1)).argmax(dim=-1)
    expected = torch.softmax(logits / temperature, dim=0)
    for token in range(5):
        share = (chosen == token).double().mean().item()
        error = math.sqrt(expected[token].item() * (1 - expected[token].item()) / rows)
        assert abs(share - expected[token].item()) <= 5 * error


def test_rows_without_a_temperature_stay_as_they_are() -> None:
    scores = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    sampler = SeededSampling([0.0, 1.0, 0.0], [1, 2, 3], prompt_length=1, max_new_tokens=1)
    result = sampler(torch.zeros(3, 1, dtype=torch.long), scores)
    assert torch.equal(result[[0, 2]], scores[[0, 2]])
    assert result[1].isfinite().sum() == 1


def test_a_seed_belongs_to_what_is_asked() -> None:
    question = Question(1, "writing", ("a", "b"))
    seeds = {
        answer_seed(0, question, 0, 0),
        answer_seed(1, question, 0, 0),
        answer_seed(0, question, 1, 0),
        answer_seed(0, question, 0, 1),
        answer_seed(0, Question(1, "writing", ("a", "c")), 0, 0),
    }
    assert len(seeds) == 5
    assert answer_seed(0, Question(9, "math", ("a", "b")), 0, 0) in seeds
