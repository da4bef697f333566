"""Compares vLLM with transformers once, after its weights were reloaded or an adapter was added to them.

For some architectures vLLM's reload leaves weights behind that are wrong without any error: tensors that are
transformed as they are loaded, such as those of recurrent layers, or kernels with a separate packed copy.
Every answer is then that of another model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.engines.prompting.conversation import conversations
from tvmerge.errors import CandidateError, CheckpointError, ConfigError
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

if TYPE_CHECKING:
    from tvmerge.engines.pool import EngineFactory
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.protocols import Pool

TOLERANCE = {"float32": 0.01}
"""Largest difference of log-likelihoods, in nats per token; on a CPU vLLM is within 1e-5 in float32."""

TOLERANCE_16_BITS = 0.1
"""The same in 16 bits: single tokens differ by 0.04 in the mean and 0.5 at most, with either sign."""

NEW_TOKENS, MOST_TOKENS = 64, 512
"""Length of the answer that is compared; and, with the end of its prompt, of the whole text."""


class ReloadCheckedPool:
    """Wraps a pool of vLLM engines; before it gives the first answer, it compares a likelihood.

    The candidate that is asked first answers its first question. The likelihood of prompt and answer is then
    compared, for that candidate and for one without weights of 0, with which a reload that changes nothing
    does not pass either. So vLLM has reloaded its weights twice.

    Args:
        pool: The engines.
        reference: Starts a transformers engine with the same models.
        chat: Tokenizer and chat template.
        context: Returns the maximum number of tokens vLLM reads of a text; None for no limit.
        dtype: The dtype of computation.
        note: Called with each remark for the user.
        passed: Called with the difference once they agree.
        adapters: Whether candidates are adapters in vLLM, which transformers merges.
    """

    def __init__(
        self,
        pool: Pool,
        reference: EngineFactory,
        chat: ChatFormat,
        context: Callable[[], int | None],
        dtype: str,
        *,
        note: Callable[[str], None],
        passed: Callable[[float], None],
        adapters: bool = False,
    ) -> None:
        self._pool = pool
        self._what = "adapters" if adapters else "reloaded weights"
        self._wrong = (
            "vLLM computes adapters of this model in a wrong way"
            if adapters
            else "vLLM computes with wrong weights once it has reloaded this model"
        )
        self._instead = "leave out --vllm-adapters" if adapters else "pass --engine transformers"
        self._reference = reference
        self._chat = chat
        self._context = context
        self._tolerance = TOLERANCE.get(dtype, TOLERANCE_16_BITS)
        self._note = note
        self._passed = passed
        self._lock = asyncio.Lock()
        self._asked = False
        self._done = False

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Yield the pool's answers.

        Raises:
            ConfigError: The first time: vLLM's model is not the merged one.
        """
        if questions:
            await self._check(recipe, lambda: self._answered(recipe, questions[0], sampling))
        async with aclosing(self._pool.answer(recipe, questions, sampling, wave=wave)) as stream:
            async for answers in stream:
                yield answers

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Return the pool's likelihoods.

        Raises:
            ConfigError: The first time: vLLM's model is not the merged one.
        """
        if pairs:
            await self._check(recipe, lambda: _given(pairs[0]))
        return await self._pool.loglikelihood(recipe, pairs)

    async def close(self) -> None:
        """Close the pool; say so if candidates were asked but none could be compared."""
        if self._asked and not self._done:
            self._note(
                f"vLLM's {self._what} were not compared with transformers': no candidate could be compared"
            )
        await self._pool.close()

    async def _check(self, recipe: Recipe, text: Callable[[], Awaitable[Continuation]]) -> None:
        async with self._lock:
            if self._done:
                return
            self._asked = True
            pair = await text()
            if not pair.tokens:
                return
            candidates = _candidates(recipe)
            said = [await self._likelihood(candidate, pair) for candidate in candidates]
            if None not in said:
                found = [
                    (one, value) for one, value in zip(candidates, said, strict=True) if value is not None
                ]
                self._done = await self._compare(pair, found)

    async def _answered(self, recipe: Recipe, question: Question, sampling: Sampling) -> Continuation:
        """Return the end of the first prompt with the answer to it."""
        first = replace(question, turns=question.turns[:1])
        drawn = replace(
            sampling,
            max_new_tokens=min(NEW_TOKENS, sampling.max_new_tokens),
            max_thinking_tokens=None,
            samples=1,
        )
        prompt = conversations([first], drawn)[0].prompt(self._chat, None, drawn)
        ids = [] if prompt is None else list(prompt.ids)
        async with aclosing(self._pool.answer(recipe, [first], drawn)) as stream:
            async for answers in stream:
                text = "".join([*answers[0].thoughts, *answers[0].turns])
                ids += self._chat.tokenizer(text, add_special_tokens=False)["input_ids"]
        context = self._context()
        most = MOST_TOKENS if context is None else min(MOST_TOKENS, context)
        return Continuation(tuple(ids[-most:][:1]), tuple(ids[-most:][1:]))

    async def _likelihood(self, recipe: Recipe, pair: Continuation) -> float | None:
        """Return what vLLM says; None if the recipe gives no usable model."""
        try:
            return (await self._pool.loglikelihood(recipe, [pair]))[0].logprob
        except CandidateError:
            return None

    async def _compare(self, pair: Continuation, found: Sequence[tuple[Recipe, float]]) -> bool:
        """Return whether that is settled; otherwise the next candidate is compared.

        Raises:
            ConfigError: It is too large.
        """
        self._note(f"comparing vLLM's {self._what} with transformers' on the CPU, once per study")
        try:
            expected = await self._expected(pair, [recipe for recipe, _ in found])
        except CheckpointError as error:  # such as too little memory for a second model
            self._note(f"vLLM's {self._what} are not compared with transformers': {error}")
            return True
        if not all(map(math.isfinite, expected)):
            self._note("the next candidate is compared, since the model overflows with this one's weights")
            return False
        differences = [
            abs(said - right) / len(pair.tokens) for (_, said), right in zip(found, expected, strict=True)
        ]
        if any(not difference <= self._tolerance for difference in differences):
            worst = max(differences, key=lambda one: (math.isnan(one), one))
            raise ConfigError(
                f"{self._wrong}: it finds the first answer {worst:.3g} nats per token more or less likely "
                f"than transformers does, where {self._tolerance:g} is allowed; {self._instead} and pass "
                "another --study-name"
            )
        self._passed(max(differences))
        return True

    async def _expected(self, pair: Continuation, recipes: Sequence[Recipe]) -> list[float]:
        """Return what transformers says of the text as each candidate."""
        engine = await self._reference()
        found = []
        try:
            for recipe in recipes:
                await engine.apply(recipe)
                found.append((await engine.loglikelihood([pair]))[0].logprob)
        finally:
            await engine.close()
        return found


async def _given(pair: Continuation) -> Continuation:
    return pair


def _candidates(recipe: Recipe) -> list[Recipe]:
    """Return the recipe, and if weights in it are 0 another with weights of 1 in their place."""
    full = Recipe({name: weight or 1.0 for name, weight in recipe.weights.items()})
    return [recipe] if full == recipe else [recipe, full]


if TYPE_CHECKING:
    _pool: type[Pool] = ReloadCheckedPool
