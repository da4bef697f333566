"""Weights learnt by gradient on a few prompts without references or ratings.

The merged model is to answer chats as the tuned model does, and to go on as the target does in texts that
the target makes up itself: Adam minimises the sum of the mean Kullback-Leibler divergences from either at
their tokens. It is Expert Merging (arXiv 2509.25712) without its losses on hidden states. The gradient in a
weight is the sum over its tensors of <d loss / d tensor, delta>; a tensor's gradient is used and freed as
soon as it is there, so that one at a time is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from perf.signals.likelihood import turns
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.merging.deltas import as_rows
from tvmerge.merging.live import load_into
from tvmerge.merging.merge import Merge
from tvmerge.merging.plan import Row
from tvmerge.records import Answer, Continuation, Question, Recipe
from tvmerge.testing.models import PlainModel

STEPS, RATE, START = 50, 0.05, 0.75
"""Steps of Adam, its first learning rate, and the uniform weight that it starts from."""

_LENGTH = 48  # tokens of a text of the target


@dataclass(frozen=True)
class Lesson:
    """Texts, and what a teacher expects at their tokens.

    Attributes:
        texts: The texts.
        logprobs: The teacher's logarithms of probabilities, shape (tokens of all texts, vocabulary); None
            if only the tokens are to be learnt.
    """

    texts: Sequence[Continuation]
    logprobs: torch.Tensor | None

    def loss(self, model: Any) -> torch.Tensor:
        """Return the mean Kullback-Leibler divergence of a model from the teacher, in nats a token.

        If only the tokens are to be learnt, it is their mean negative log-likelihood.
        """
        found = _logprobs(model, self.texts)
        if self.logprobs is None:
            tokens = torch.tensor([token for text in self.texts for token in text.tokens])
            return -found.gather(1, tokens[:, None]).mean()
        return (self.logprobs.exp() * (self.logprobs - found)).sum(-1).mean()


def lessons(
    models: Merge,
    chat: ChatFormat,
    end: int,
    prompts: Sequence[Question],
    seed: int,
    *,
    soft: bool = True,
    continued: bool = False,
) -> list[Lesson]:
    """Return chats of the tuned model on the prompts, and as many texts of the target.

    Args:
        models: The models.
        chat: The chat template.
        end: The token that ends an answer.
        prompts: What the tuned model answers.
        seed: Seed of the target's texts.
        soft: Whether the teachers' probabilities are learnt, not only the tokens. It needs one vocabulary.
        continued: Whether the target continues the prompts' first turns, without a chat template.
    """
    tuned = PlainModel(models.sources["tuned"].folder)
    chats = [
        one
        for question in prompts
        for one in turns(chat, end, question, Answer(question.question_id, tuned.answer(question, 16)))
    ]
    target = _model(models)
    start = [int(target.config.bos_token_id)]
    begun = [chat.encode_text(question.turns[0]) if continued else start for question in prompts]
    taught = [(chats, tuned.model), (_texts(target, end, begun, seed), target)]
    with torch.no_grad():
        return [Lesson(texts, _logprobs(model, texts) if soft else None) for texts, model in taught]


def learnt_weights(models: Merge, given: Sequence[Lesson]) -> Recipe:
    """Return the weights whose merge follows the teachers, each in [0, 2]."""
    model, names = _model(models), list(models.group_names)
    weights = torch.full((len(names),), START, requires_grad=True)
    adam = torch.optim.Adam([weights], RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for _ in range(STEPS):
        load_into(model, iter(models.merger.merge(_recipe(names, weights))))
        with slopes(model, models.merger.plan.rows) as found:
            for lesson in given:
                torch.autograd.backward([lesson.loss(model)])
        weights.grad = torch.tensor([found[name] for name in names])
        adam.step()
        schedule.step()
        weights.data.clamp_(0, 2)
    return _recipe(names, weights)


@contextmanager
def slopes(model: Any, rows: Sequence[Row]) -> Iterator[dict[str, float]]:
    """Add up, over backward passes within, how the loss changes with each weight.

    Args:
        model: The live merged model, whose parameters have the names of the rows.
        rows: The tensors of the merge.
    """
    found = {name: 0.0 for row in rows for term in row.terms for name, _ in term.share}
    parameters = dict(model.named_parameters())
    hooks = [
        parameters[row.name].register_post_accumulate_grad_hook(partial(_take, row, found))
        for row in rows
        if row.terms
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _take(row: Row, found: dict[str, float], parameter: torch.Tensor) -> None:
    """Add what a tensor's gradient says of its weights, and free it."""
    assert parameter.grad is not None
    for term in row.terms:
        delta = torch.empty(row.shape)
        term.delta.open().read(slice(0, row.shape[0]), delta, torch.empty_like(delta))
        slope = float((as_rows(parameter.grad) * delta).sum(dtype=torch.float64))
        for name, factor in term.share:
            found[name] += factor * slope
    parameter.grad = None


def _logprobs(model: Any, texts: Sequence[Continuation]) -> torch.Tensor:
    """Return the log-probabilities of all tokens at the texts' places, shape (places, vocabulary)."""
    ids = [torch.tensor((*text.context, *text.tokens)) for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)  # causal attention does not see padding
    logits = model(input_ids=padded, use_cache=False).logits
    wanted = [
        row[len(text.context) - 1 : len(text.context) + len(text.tokens) - 1]
        for row, text in zip(logits, texts, strict=True)
    ]
    return torch.cat(wanted).log_softmax(-1)


def _texts(model: Any, end: int, begun: Sequence[Sequence[int]], seed: int) -> list[Continuation]:
    """Return how a model goes on after each beginning, at temperature 1."""
    found = []
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for ids in begun:
            prompt = torch.tensor([ids])
            drawn = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                top_k=0,
                max_new_tokens=_LENGTH,
                pad_token_id=end,
            )
            found.append(Continuation(tuple(ids), tuple(drawn[0, len(ids) :].tolist())))
    return found


def _model(models: Merge) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(models.target.folder, dtype=torch.float32)
    model.eval()
    return model


def _recipe(names: Sequence[str], weights: torch.Tensor) -> Recipe:
    return Recipe(dict(zip(names, weights.tolist(), strict=True)))
