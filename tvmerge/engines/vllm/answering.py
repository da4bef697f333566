"""What engines in vLLM have in common: answers and likelihoods as requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from tvmerge._util.tasks import gather_or_cancel, stop
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.conversation import Conversation, Prompt, conversations
from tvmerge.engines.prompting.replies import ReplyReader
from tvmerge.engines.prompting.sampling import answer_seed
from tvmerge.engines.prompting.stop_tokens import until_stop
from tvmerge.engines.prompting.turn import Turn
from tvmerge.engines.vllm.server import VllmServer
from tvmerge.errors import AssetError
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Sampling


class VllmAnswering:
    """Answers questions and rates texts with a model in vLLM, all of them at once.

    Args:
        server: The model.
        chat: The tokenizer and chat template.
        stop_tokens: Ids of the tokens that end an answer.
    """

    def __init__(self, server: VllmServer, chat: ChatFormat, stop_tokens: Sequence[int]) -> None:
        self._server = server
        self._chat = chat
        self._reader = ReplyReader(chat)
        self._stop_tokens = list(stop_tokens)
        self._adapter: Any = None  # the `LoRARequest` with which it answers; None for the model as it is

    @property
    def capabilities(self) -> Capabilities:
        """The version of vLLM; exact in float32."""
        server = self._server
        return Capabilities(f"vllm {server.version}", server.dtype == "float32", server.context)

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer all questions concurrently; yield each once its last turn is answered."""
        held = conversations(questions, sampling)
        # The longest first, since they take the longest.
        first = [(conversation, self._prompt(conversation, sampling)) for conversation in held]
        first.sort(key=lambda pair: -len(pair[1].ids) if pair[1] else 0)
        talks = [asyncio.create_task(self._hold(talk, sampling)) for talk, _ in first]
        try:
            for finished in asyncio.as_completed(talks):
                yield (await finished).answers()
        finally:
            await stop(talks)

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Rate all pairs concurrently, with vLLM's log-probabilities of prompts."""
        context = self._server.context
        longest = max((len(pair.context) + len(pair.tokens) for pair in pairs), default=0)
        if longest >= context:
            raise AssetError(
                f"{longest} tokens of a context and its continuation do not fit the model's context of "
                f"{context}, less one"
            )
        return await gather_or_cancel(self._rate(pair) for pair in pairs)

    def _prompt(self, conversation: Conversation, sampling: Sampling) -> Prompt | None:
        return conversation.prompt(self._chat, self._server.context, sampling)

    async def _hold(self, conversation: Conversation, sampling: Sampling) -> Conversation:
        """Hold a conversation to its end; each turn contains the model's earlier answers."""
        while (prompt := self._prompt(conversation, sampling)) is not None:
            seed = answer_seed(
                sampling.seed, conversation.question, conversation.turn, conversation.samples[0]
            )
            turn = Turn(prompt, self._reader, sampling)
            while turn.finish is None:
                # A request draws from the start of its seed's stream, so each piece of a turn gets its own
                # seed.
                await self._go_on(turn, conversation.temperature, seed + len(turn.ids))
            conversation.add(turn.reply())
        return conversation

    async def _go_on(self, turn: Turn, temperature: float, seed: int) -> None:
        output = await self._server.request(
            turn.context,
            self._adapter,
            max_tokens=turn.limit,
            temperature=temperature,
            seed=seed,
            stop=list(turn.sampling.stop),
            stop_token_ids=self._stop_tokens,
            ignore_eos=True,  # the stop tokens above replace those of the target's files
            # Answers are decoded at the end; only stop texts need vLLM to decode during generation.
            detokenize=bool(turn.sampling.stop),
        )
        ids, _ = until_stop(output.outputs[0].token_ids, self._stop_tokens)
        turn.take(ids, "length" if output.outputs[0].finish_reason == "length" else "stop")

    async def _rate(self, pair: Continuation) -> LogLikelihood:
        output = await self._server.request(
            [*pair.context, *pair.tokens],
            self._adapter,
            max_tokens=1,
            temperature=0.0,
            prompt_logprobs=0,
            detokenize=False,
        )
        rows = output.prompt_logprobs[len(pair.context) :]
        found = [row[token] for row, token in zip(rows, pair.tokens, strict=True)]
        return LogLikelihood(sum(one.logprob for one in found), all(one.rank == 1 for one in found))
