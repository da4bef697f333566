"""The engine of a GGUF file: llama.cpp's server gets the prompts that other engines get, as token ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.tasks import stop
from tvmerge.engines.llama_server.server import LlamaServer
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.conversation import Conversation, conversations
from tvmerge.engines.prompting.replies import ReplyReader
from tvmerge.engines.prompting.sampling import answer_seed
from tvmerge.engines.prompting.stop_tokens import until_stop
from tvmerge.engines.prompting.turn import Turn
from tvmerge.errors import AssetError, ConfigError
from tvmerge.merging.gguf.programs import Command
from tvmerge.protocols import Engine
from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    Finish,
    LogLikelihood,
    Question,
    Recipe,
    Sampling,
)

SLOTS = 4
"""Number of conversations that the server holds at once."""

_SPARE = 256
"""Tokens of room that a conversation gets beyond what it is expected to need."""

_LARGEST_SEED = 2**32 - 2  # the server takes the next number for "draw one"


class LlamaServerEngine:
    """Answers questions with a GGUF file in llama.cpp's server, which is started by the first question.

    It gets prompts as token ids of the target's tokenizer and returns token ids, so prompts and answers are
    written and read as with the other engines.

    Args:
        program: The command that runs llama-server.
        file: The GGUF file.
        chat: The target's tokenizer and chat template.
        stop_tokens: Ids of the tokens that end an answer. The tokens that end an answer by the file end it,
            too, as they do for users of the file.
        context: Maximum number of tokens of a conversation; None if there is no limit.
    """

    def __init__(
        self,
        program: Command,
        file: Path,
        chat: ChatFormat,
        *,
        stop_tokens: Sequence[int],
        context: int | None,
    ) -> None:
        self._program = program
        self._file = file
        self._chat = chat
        self._reader = ReplyReader(chat)
        self._stop_tokens = list(stop_tokens)
        self._context = context
        self._server: LlamaServer | None = None
        self._room = 0

    @property
    def capabilities(self) -> Capabilities:
        """The context; not exact, since conversations share batches."""
        return Capabilities("llama-server", exact=False, context=self._context)

    async def apply(self, recipe: Recipe) -> None:
        """Do nothing: the file is one merged model."""
        del recipe

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer several questions at once; yield each once its last turn is answered."""
        held = conversations(questions, sampling)
        server = await self._serving(held, sampling)
        free = asyncio.Semaphore(SLOTS)
        talks = [asyncio.create_task(self._hold(server, free, talk, sampling)) for talk in held]
        try:
            for finished in asyncio.as_completed(talks):
                yield (await finished).answers()
        finally:
            await stop(talks)

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Raise `ConfigError`: the server does not rate given texts."""
        raise ConfigError("llama-server does not rate the likelihood of texts, which a task asks for")

    async def close(self) -> None:
        """End the server."""
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _serving(self, held: Sequence[Conversation], sampling: Sampling) -> LlamaServer:
        """Return a server with room for these conversations, starting one if there is none."""
        needed = max((talk.extent(self._chat, self._context, sampling) for talk in held), default=0) + _SPARE
        # The server gives no more than the model was trained for.
        needed = needed if self._context is None else min(needed, self._context)
        if self._server is not None and needed > self._room:
            await self.close()
        if self._server is None:
            self._server = await LlamaServer.start(self._program, self._file, context=needed, slots=SLOTS)
            self._room = needed
        return self._server

    async def _hold(
        self, server: LlamaServer, free: asyncio.Semaphore, conversation: Conversation, sampling: Sampling
    ) -> Conversation:
        async with free:
            while (prompt := conversation.prompt(self._chat, self._context, sampling)) is not None:
                seed = answer_seed(
                    sampling.seed, conversation.question, conversation.turn, conversation.samples[0]
                )
                turn = Turn(prompt, self._reader, sampling)
                while turn.finish is None:
                    # A request draws from the start of its seed's stream, so each piece gets its own seed.
                    await self._go_on(server, turn, conversation, seed + len(turn.ids))
                conversation.add(turn.reply())
        return conversation

    async def _go_on(self, server: LlamaServer, turn: Turn, conversation: Conversation, seed: int) -> None:
        body = {
            "prompt": turn.context,
            "n_predict": turn.limit,
            "temperature": conversation.temperature,
            "seed": seed % _LARGEST_SEED,
            "stop": list(turn.sampling.stop),
            # No other sampler changes the probabilities, whatever the file says.
            "samplers": ["temperature"],
            "mirostat": 0,
            # What was cached may be a rounding off from what is computed anew.
            "cache_prompt": False,
            "return_tokens": True,
        }
        reply = await server.post("/completion", body)
        turn.take(*self._read(reply, conversation, len(turn.context)))

    def _read(self, reply: Any, conversation: Conversation, before: int) -> tuple[list[int], Finish]:
        """Return the new tokens without the one that ended them, and why they ended."""
        ids, stopped = until_stop(reply["tokens"], self._stop_tokens)
        if stopped:
            return ids, "stop"
        if reply["stop_type"] == "eos":
            return ids[:-1], "stop"
        full = self._context is not None and before + len(ids) + 2 >= self._context
        if reply["truncated"] and not full:
            raise AssetError(
                f"question {conversation.question.question_id}: llama-server ran out of room for its answer "
                f"after {before + len(ids)} tokens"
            )
        return ids, "length" if reply["stop_type"] == "limit" else "stop"


if TYPE_CHECKING:
    _engine: type[Engine] = LlamaServerEngine
