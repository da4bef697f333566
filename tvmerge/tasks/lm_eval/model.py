"""The language model that lm-eval asks: a recipe's model, run by a pool."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from tvmerge._util.canonical import digest
from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

T = TypeVar("T")

MAX_NEW_TOKENS = 256
"""Default maximum number of generated tokens, as in lm-eval."""

WINDOW = 2048
"""Tokens per window of a long text if the model has no limit, as in lm-eval."""


class Prompts:
    """Encodes prompts as lm-eval's own models do, each once per study.

    Args:
        tokenizer: A tokenizer of transformers.
        context: Maximum number of tokens that the model reads; None for no limit.
    """

    def __init__(self, tokenizer: Any, context: int | None) -> None:
        self._tokenizer = tokenizer
        self.context = context
        self.end_id: int = tokenizer.eos_token_id
        start = tokenizer.bos_token_id
        self.start_id: int = self.end_id if start is None else start
        self._pairs: dict[tuple[str, str], tuple[list[int], list[int]]] = {}

    def encode(self, text: str, *, special: bool | None = None) -> list[int]:
        """Return token ids; `special` overrides whether special tokens are added, but never twice."""
        if special is None and has_bos_prefix(text, self._tokenizer.decode(self.start_id)):
            special = False
        flags = {} if special is None else {"add_special_tokens": special}
        # Long texts are cut later, so the tokenizer need not warn about them.
        return list(self._tokenizer.encode(text, verbose=False, **flags))

    def pair(
        self, texts: tuple[str, str], encode: Callable[[str, str], tuple[list[int], list[int]]]
    ) -> tuple[list[int], list[int]]:
        """Return the tokens of a context and its continuation, encoded with `encode` if they are new."""
        if texts not in self._pairs:
            self._pairs[texts] = encode(*texts)
        return self._pairs[texts]


class PoolLM(TemplateLM):
    """The model of a recipe as lm-eval's tasks use it. Its methods block, so they are called in a thread.

    Args:
        pool: The pool that answers.
        recipe: The candidate.
        prompts: Encodes texts.
        wait: Runs a coroutine in the pool's event loop and returns its result.
        seed: Seed of tasks that sample.
    """

    def __init__(
        self,
        pool: Pool,
        recipe: Recipe,
        prompts: Prompts,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._pool = pool
        self._recipe = recipe
        self._prompts = prompts
        self._wait = wait
        self._seed = seed

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self._prompts.end_id

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without a context."""
        return self._prompts.start_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the token ids of a text."""
        return self._prompts.encode(string, special=add_special_tokens)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Return each continuation's log-likelihood and whether greedy decoding gives it."""
        return list(super().loglikelihood(requests, disable_tqdm=disable_tqdm))

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Return the log-likelihood of each whole text, computed in windows of the context's length."""
        windows = [self._windows(request.args[0]) for request in requests]
        found = iter(self._rate([window for some in windows for window in some]))
        return [sum(next(found).logprob for _ in some) for some in windows]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Return what follows each context, up to the first stop text."""
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(index)
        texts: dict[int, str] = {}
        for indices in groups.values():
            contexts = [requests[index].args[0] for index in indices]
            said = self._generate(contexts, requests[indices[0]].args[1])
            texts |= zip(indices, said, strict=True)
        return [texts[index] for index in range(len(requests))]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        return self._prompts.pair((context, continuation), super()._encode_pair)

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        return [(one.logprob, one.greedy) for one in self._rate([pair for _, *pair in requests])]

    def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        """Split a text into windows of the context's length, each with as much context as fits."""
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self._prompts.context or WINDOW,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def _rate(self, pairs: Sequence[Sequence[Sequence[int]]]) -> list[LogLikelihood]:
        """Return the likelihoods of (context, continuation) pairs; an empty continuation is certain."""
        fitted = [_fit(context, tokens, self._prompts.context) for context, tokens in pairs]
        asked = [pair for pair in fitted if pair is not None]
        found = iter(self._wait(self._pool.loglikelihood(self._recipe, asked)) if asked else ())
        return [LogLikelihood(0.0, greedy=True) if pair is None else next(found) for pair in fitted]

    def _generate(self, contexts: Sequence[str], settings: dict[str, Any]) -> list[str]:
        """Return a text for each context; equal contexts get different samples."""
        sampling = sampling_of(settings, samples=max(Counter(contexts).values()), seed=self._seed)
        # The id is part of a sample's seed, so it must depend only on the prompt.
        questions = {text: Question(digest([text]), "", (text,)) for text in dict.fromkeys(contexts)}
        stream = self._pool.answer(self._recipe, list(questions.values()), sampling)
        answers = {(a.question_id, a.sample): a for a in self._wait(_all(stream))}
        taken: Counter[str] = Counter()
        texts = []
        for context in contexts:
            texts.append(answers[questions[context].question_id, taken[context]].turns[0])
            taken[context] += 1
        return texts


def sampling_of(settings: dict[str, Any], *, samples: int = 1, seed: int = 0) -> Sampling:
    """Return sampling parameters from the generation settings of a task."""
    normal: dict[str, Any] = normalize_gen_kwargs(settings, MAX_NEW_TOKENS)
    until = normal.get("until") or []
    return Sampling(
        max_new_tokens=normal["max_gen_toks"],
        default_temperature=normal.get("temperature", 0.0),
        seed=seed,
        samples=samples,
        stop=tuple(text for text in ([until] if isinstance(until, str) else until) if text),
        truncate=True,
        raw=True,
    )


def _fit(context: Sequence[int], tokens: Sequence[int], longest: int | None) -> Continuation | None:
    """Return the pair, cut at its start if it exceeds the model's context; None without a continuation.

    A text may be one token longer than the context, since its last token is only predicted.
    """
    if not tokens:
        return None
    text = (*context, *tokens)
    if longest is not None:
        text = text[-(longest + 1) :]
    split = max(1, len(text) - len(tokens))
    return Continuation(text[:split], text[split:])


async def _all(stream: AsyncGenerator[tuple[Answer, ...], None]) -> list[Answer]:
    async with aclosing(stream):
        return [answer async for answers in stream for answer in answers]
