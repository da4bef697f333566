"""The vLLM engine: continuous batching, with the model changed in place by vLLM's workers."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from tvmerge._util.files import folder_name
from tvmerge._util.tasks import gather_or_cancel, stop
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.conversation import Conversation, Prompt, conversations
from tvmerge.engines.prompting.replies import ReplyReader
from tvmerge.engines.prompting.sampling import answer_seed
from tvmerge.engines.prompting.stop_tokens import until_stop
from tvmerge.engines.prompting.turn import Turn
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import pack_recipe, unpack_error
from tvmerge.engines.vllm.options import float_options
from tvmerge.engines.vllm.version import check_version
from tvmerge.engines.vllm.worker import EXTENSION
from tvmerge.errors import AssetError, CheckpointError, ConfigError
from tvmerge.pretrained.context_length import model_context
from tvmerge.protocols import Engine
from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    LogLikelihood,
    Question,
    Recipe,
    Sampling,
)

T = TypeVar("T")

HEARTBEAT = 1.0
"""Seconds between two checks that vLLM's engine is alive."""


class VllmEngine:
    """Answers questions with vLLM's asynchronous engine, which runs in separate processes.

    It is started at the first `apply`. Its workers open the source checkpoints themselves; only recipes are
    sent.

    Args:
        folder: The target model's folder.
        chat: The target's tokenizer and chat template.
        merger: Opens a `tvmerge.protocols.Merger` in a worker.
        stop_tokens: Ids of the tokens that end an answer.
        dtype: The dtype of computation: `bfloat16`, `float16` or `float32`.
        options: Further arguments of vLLM's `AsyncEngineArgs`: `tensor_parallel_size`, `max_model_len`,
            `gpu_memory_utilization`, ...
        trust_remote_code: Whether the model may run code from its files.
        skeleton: Writes the merged model without its weights into a folder, if it differs from the target in
            more than its weights, as a mixture of experts does; the first `apply` sets the weights.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: This release of vLLM has not been tested.
    """

    def __init__(
        self,
        folder: Path,
        chat: ChatFormat,
        merger: Entry,
        *,
        stop_tokens: Sequence[int],
        dtype: str = "bfloat16",
        options: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
        skeleton: Callable[[Path], None] | None = None,
    ) -> None:
        self._version = check_version()
        self._folder = folder
        self._chat = chat
        self._reader = ReplyReader(chat)
        self._merger = merger
        self._dtype = dtype
        self._options = dict(options or {})
        self._trust_remote_code = trust_remote_code
        self._stop_tokens = list(stop_tokens)
        self._skeleton = skeleton
        self._temporary: TemporaryDirectory[str] | None = None
        self._context = _context(folder, self._options, trust_remote_code=trust_remote_code)
        self._numbers = itertools.count()
        self._remarks: tuple[str, ...] = ()
        self._llm: Any = None

    @property
    def capabilities(self) -> Capabilities:
        """The version of vLLM; exact in float32."""
        return Capabilities(f"vllm {self._version}", self._dtype == "float32", self._context)

    @property
    def remarks(self) -> Sequence[str]:
        """Where the workers merge, and what that was slower for."""
        return self._remarks

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`, and clear the prefix cache."""
        if self._llm is None:
            self._llm = await asyncio.to_thread(self._start)
            await self._call("tvmerge_open", self._merger.function, dict(self._merger.settings))
        said = await self._call("tvmerge_apply", pack_recipe(recipe))
        self._remarks = tuple(dict.fromkeys(itertools.chain(*said)))
        # Cached keys and values are those of the old weights.
        if not await self._outlived(self._llm.reset_prefix_cache(reset_running_requests=True)):
            raise EngineLostError("vLLM did not reset its prefix cache")

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
        longest = max((len(pair.context) + len(pair.tokens) for pair in pairs), default=0)
        if longest >= self._context:
            raise AssetError(
                f"{longest} tokens of a context and its continuation do not fit the model's context of "
                f"{self._context}, less one"
            )
        return await gather_or_cancel(self._rate(pair) for pair in pairs)

    async def close(self) -> None:
        """Shut down vLLM's processes."""
        if self._llm is not None:
            await asyncio.to_thread(self._llm.shutdown)
            self._llm = None
            gc.collect()  # it is in a reference cycle, and raises if it is collected at exit
        self._clear()

    def _start(self) -> Any:
        # Read when vLLM is imported: no logs between the lines of progress, no usage statistics.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = {
            "model": str(self._folder),
            "dtype": self._dtype,
            "max_model_len": self._context,
            "worker_extension_cls": EXTENSION,
            "enable_prefix_caching": True,
            "trust_remote_code": self._trust_remote_code,
            "disable_log_stats": True,
            **self._options,
            **float_options(self._folder, self._options),
        }
        if self._skeleton is not None:
            self._temporary = TemporaryDirectory(prefix="tvmerge-")
            self._skeleton(Path(self._temporary.name))
            arguments |= {"model": self._temporary.name, "load_format": "dummy"}
        try:
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        except (ValueError, RuntimeError, TypeError) as error:
            self._clear()
            raise ConfigError(
                f"vLLM does not start with {folder_name(self._folder)}: {_reason(error)}; "
                "fix the table [vllm], or use --engine transformers"
            ) from error

    def _clear(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    async def _call(self, method: str, *args: object) -> list[Any]:
        """Call a method of `MergingWorker` in every worker; return what each of them replies."""
        replies = await self._outlived(self._llm.collective_rpc(method, args=args))
        for reply in replies:
            if "error" in reply:
                raise unpack_error(reply)
        return [reply["end"] for reply in replies]

    async def _outlived(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, watching the engine meanwhile, since a killed one never replies.

        Raises:
            EngineLostError: vLLM's engine died.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HEARTBEAT)
                if self._llm.errored and not task.done():
                    raise EngineLostError("vLLM's engine died")
            return task.result()
        except EngineDeadError as error:
            raise EngineLostError("vLLM's engine died") from error
        finally:
            task.cancel()

    def _prompt(self, conversation: Conversation, sampling: Sampling) -> Prompt | None:
        return conversation.prompt(self._chat, self._context, sampling)

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
        output = await self._request(
            turn.context,
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
        output = await self._request(
            [*pair.context, *pair.tokens], max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False
        )
        rows = output.prompt_logprobs[len(pair.context) :]
        found = [row[token] for row, token in zip(rows, pair.tokens, strict=True)]
        return LogLikelihood(sum(one.logprob for one in found), all(one.rank == 1 for one in found))

    async def _request(self, ids: Sequence[int], **sampling: Any) -> Any:
        """Return vLLM's final output for a prompt; abort it if the caller is cancelled."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
        stream = self._llm.generate({"prompt_token_ids": list(ids)}, params, str(next(self._numbers)))
        return await self._outlived(anext(stream))


def _reason(error: Exception) -> str:
    """Return the first telling line of an error; pydantic's first line only counts its errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if " validation error" not in line]
    return next(iter([*telling, *lines]), type(error).__name__).partition(" [type=")[0]


def _context(folder: Path, options: Mapping[str, Any], *, trust_remote_code: bool) -> int:
    """Return the model's context length in tokens, or `max_model_len` if given."""
    if "max_model_len" in options:
        return int(options["max_model_len"])
    found = model_context(folder, trust_remote_code=trust_remote_code)
    if found is None:
        raise CheckpointError(
            f"{folder.name}: config.json does not say how long the context is; give max_model_len in the "
            "table [vllm] of the config file"
        )
    return found


if TYPE_CHECKING:
    _engine: type[Engine] = VllmEngine
