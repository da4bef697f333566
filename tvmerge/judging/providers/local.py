"""A judge on this machine: any chat model of transformers, run in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tvmerge._util.canonical import digest
from tvmerge._util.thread_batches import ThreadedBatches
from tvmerge.errors import TvmergeError
from tvmerge.judging.client.chat import ChatReply, ChatRequest, TooLongError, Usage
from tvmerge.judging.local.checkpoint import check_available, identity
from tvmerge.judging.local.memory import memory_by_device
from tvmerge.judging.prompts.reply_format import ReplyFormat
from tvmerge.judging.providers import Provider
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.parameters import MAX_TOKENS

if TYPE_CHECKING:
    from tvmerge.judging.local.transformers import Generated, TransformersChat

_AGAIN = 0.7
"""Temperature of a repeated greedy request, which would otherwise get the same reply."""


class LocalChat:
    """A chat model loaded on first use that answers concurrent requests in one batch.

    Args:
        spec: The judge.
        api_key: Not used; there is none.
    """

    def __init__(self, spec: JudgeSpec, api_key: str = "") -> None:
        del api_key
        self._spec = spec
        self._identity = identity(spec.model)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-judge")
        self._batches = ThreadedBatches(self._thread, self._answer, most=spec.batch_size)
        self._model: TransformersChat | None = None
        self._held = ExitStack()

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Build a request of the conversation and everything about the model that affects its reply."""
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._identity,
            "dtype": self._spec.dtype,
            "quantization": self._spec.quantization,
            "messages": [*messages, {"role": "user", "content": user}],
            "max_new_tokens": MAX_TOKENS,
            "temperature": 0,
        }
        return ChatRequest("local", "", body | dict(self._spec.parameters), reply_format, sample)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the model's reply.

        Raises:
            TooLongError: The prompt does not fit the model's context.
            CheckpointError: The model cannot be loaded.
            MissingExtraError: The model needs a package that is not installed.
        """
        outcome = await self._batches.add(request)
        if isinstance(outcome, TvmergeError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Free the model."""
        await self._batches.drain()
        await asyncio.to_thread(self._thread.shutdown)
        self._model = None
        self._held.close()

    def _answer(self, requests: list[ChatRequest]) -> list[ChatReply | TvmergeError]:
        if self._model is None:
            from tvmerge.judging.local.transformers import TransformersChat
            from tvmerge.pretrained.cudnn_attention import cudnn_attention_off

            self._model = TransformersChat(self._spec)
            if not self._spec.cudnn_attention:
                self._held.enter_context(cudnn_attention_off())
        prompts = self._model.encode([request.body for request in requests])
        fitting = [index for index, prompt in enumerate(prompts) if len(prompt) < self._model.context]
        generated = self._model.generate(
            [prompts[index] for index in fitting],
            requests[0].body,
            seeds=[_seed(requests[index]) for index in fitting],
            temperatures=[_temperature(requests[index]) for index in fitting],
        )
        return self._outcomes(prompts, dict(zip(fitting, generated, strict=True)))

    def _outcomes(
        self, prompts: Sequence[list[int]], generated: dict[int, Generated]
    ) -> list[ChatReply | TvmergeError]:
        outcomes: list[ChatReply | TvmergeError] = []
        for index, prompt in enumerate(prompts):
            if index not in generated:
                outcomes.append(TooLongError(f"{len(prompt)} tokens do not fit into {self._spec.model}"))
                continue
            made = generated[index]
            usage = Usage(len(prompt), made.tokens)
            outcomes.append(ChatReply(made.text, "stop" if made.complete else "length", usage))
        return outcomes


def _seed(request: ChatRequest) -> int:
    """Return a seed for this attempt, so that a sampled reply does not depend on its batch."""
    again = [request.attempt] if request.attempt else []
    return int(digest(["seed", request.key, *again])[:15], 16)


def _temperature(request: ChatRequest) -> float:
    """Return the requested temperature; above 0 if a greedy reply was unusable."""
    wanted = float(request.body["temperature"])
    return _AGAIN if request.attempt and wanted <= 0 else wanted


def _identity(spec: JudgeSpec) -> dict[str, Any]:
    # A folder may contain another model in a later run.
    return {"model": identity(spec.model), "dtype": spec.dtype, "quantization": spec.quantization}


def _more_packages(spec: JudgeSpec) -> tuple[str, ...]:
    return () if spec.quantization == "none" else ("bitsandbytes",)


PROVIDER = Provider(
    chat=LocalChat,
    packages=("torch", "transformers", "accelerate"),
    more_packages=_more_packages,
    ready=check_available,
    memory=memory_by_device,
    timeout=None,
    joins_requests=True,
    identity=_identity,
)
