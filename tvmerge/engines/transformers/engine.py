"""The transformers engine: one live model that is changed in place and answers in batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import transformers
from transformers import GenerationConfig

from tvmerge._util.files import folder_name
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.conversation import Conversation, conversations
from tvmerge.engines.prompting.replies import ReplyReader
from tvmerge.engines.prompting.sampling import answer_seed
from tvmerge.engines.prompting.turn import Turn
from tvmerge.engines.transformers.batches import Batches
from tvmerge.engines.transformers.config import read_config
from tvmerge.engines.transformers.decoding import Row, decode
from tvmerge.engines.transformers.likelihood import by_context, log_likelihoods
from tvmerge.engines.transformers.loading import load_model
from tvmerge.engines.transformers.memory import MemoryEstimate, free_memory, memory_needs, out_of_memory
from tvmerge.errors import AssetError
from tvmerge.pretrained.context_length import context_length
from tvmerge.pretrained.cudnn_attention import cudnn_attention_off
from tvmerge.pretrained.out_of_memory import free_cached, ran_out
from tvmerge.protocols import AcceleratedMerger, Engine, Merger
from tvmerge.records import Answer, Capabilities, Continuation, LogLikelihood, Question, Recipe, Sampling

T = TypeVar("T")
R = TypeVar("R")
Loader = Callable[[Any, Iterator[tuple[str, torch.Tensor]]], None]
"""Loads a stream of (checkpoint name, tensor) into a live model, in place."""

SMALL_MODEL = 30_000_000
"""Number of parameters up to which operations are too short to be split over threads."""


class TransformersEngine:
    """Answers questions with a model of the transformers library.

    The model is loaded at the first `apply`, so a run whose answers are all cached loads none. All work is
    done in a separate thread, so that the event loop stays free for the judges. A batch that does not fit in
    memory is halved, and later ones stay that small. A batch whose caller was cancelled ends at its next
    token.

    Args:
        folder: The target model's folder, with configuration and weights.
        chat: The target's tokenizer and chat template.
        merger: Makes the tensors of a recipe.
        load: Loads them into the model.
        stop_tokens: Ids of the tokens that end an answer.
        device: `cpu`, `cuda` or `cuda:N`.
        dtype: The dtype of computation.
        batch_tokens: Token budget of a batch, including prompts, padding and new tokens.
        cudnn_attention: Whether cuDNN may compute attention on GPUs; if not, it is off in the whole process
            while the model is loaded.
        trust_remote_code: Whether the model may run code from its files.
        new_model: Makes the model, if its configuration is not the folder's.
        config: The configuration of such a model.

    Raises:
        CheckpointError: The model's configuration cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        chat: ChatFormat,
        merger: Merger,
        load: Loader,
        *,
        stop_tokens: Sequence[int],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_tokens: int = 16384,
        cudnn_attention: bool = False,
        trust_remote_code: bool = False,
        new_model: Callable[[], Any] | None = None,
        config: Any = None,
    ) -> None:
        self._folder = folder
        self._new_model = new_model
        self._chat = chat
        self._reader = ReplyReader(chat)
        self._merger = merger
        self._load = load
        self._stop_tokens = list(stop_tokens)
        self._device = device
        self._dtype = dtype
        self._budget = batch_tokens
        self._cudnn_attention = cudnn_attention
        self._held = ExitStack()
        self._trust_remote_code = trust_remote_code
        self._config = config or read_config(folder, trust_remote_code=trust_remote_code)
        self._context = context_length(self._config)
        self._model: Any = None
        self._halted = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    @property
    def capabilities(self) -> Capabilities:
        """The library's version; exact in float32."""
        exact = self._dtype == torch.float32
        return Capabilities(f"transformers {transformers.__version__}", exact, self._context)

    @property
    def remarks(self) -> Sequence[str]:
        """What merging was slower for."""
        return self._merger.remarks if isinstance(self._merger, AcceleratedMerger) else ()

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`."""
        await self._in_thread(lambda: self._apply(recipe))

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer every question, in batches of similar length."""
        held = conversations(questions, sampling)
        measure = partial(Conversation.extent, chat=self._chat, context=self._context, sampling=sampling)
        batches = Batches(held, await self._in_thread(lambda: [measure(one) for one in held]))
        # One per call, since the batch of a cancelled caller may still run when the next call comes.
        halted = self._halted = threading.Event()
        work = partial(self._answer, sampling=sampling, halted=halted)
        try:
            while batches:
                yield await self._next(batches, work)
        finally:
            halted.set()

    async def loglikelihood(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        """Rate pairs in batches, keeping pairs of one context together, so that it is read once."""
        # The last token of a text is predicted and never read.
        longest = max((len(pair.context) + len(pair.tokens) for pair in pairs), default=0) - 1
        if self._context is not None and longest > self._context:
            raise AssetError(
                f"{longest} tokens of a context and its continuation do not fit the model's context of "
                f"{self._context}"
            )
        groups = by_context(pairs, self._budget)
        widths = [max(len(pairs[i].context) + len(pairs[i].tokens) for i in group) for group in groups]
        lengths = [len(group) * width for group, width in zip(groups, widths, strict=True)]
        batches = Batches([[(i, pairs[i]) for i in group] for group in groups], lengths)
        found: dict[int, LogLikelihood] = {}
        while batches:
            found |= await self._next(batches, self._rate, _halves)
        return [found[index] for index in range(len(pairs))]

    async def close(self) -> None:
        """Free the model; a running batch ends at its next token."""
        self._halted.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        self._model = None
        if isinstance(self._merger, AcceleratedMerger):
            await asyncio.to_thread(self._merger.release)
        self._held.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _next(
        self, batches: Batches[T], work: Callable[[list[T]], R], halves: Callable[[T], list[T]] = lambda _: []
    ) -> R:
        """Return the result of the next batch, made smaller until it fits in memory.

        Args:
            batches: The batches.
            work: Does a batch.
            halves: Divides an item that does not fit alone; empty if it cannot be divided.
        """
        while True:
            batch = batches.next(self._budget)
            result = await self._in_thread(partial(self._try, partial(work, batch)))
            if result is not None:
                batches.done(batch)
                return result
            if len(batch) > 1:
                self._budget = batches.cost(len(batch) // 2)
            elif parts := halves(batch[0]):
                batches.divide(parts)
                self._budget = batches.cost(1)
            else:
                rest = f"for a single text of {batches.cost(1)} tokens; lower --max-new-tokens, or pass"
                raise out_of_memory(self._folder, self._device, rest)

    def _try(self, work: Callable[[], R]) -> R | None:
        """Return what `work` returns, or None if memory ran out."""
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        free_cached()
        return None

    def _apply(self, recipe: Recipe) -> None:
        if self._model is None:
            self._model = self._open()
            if not self._cudnn_attention:
                self._held.enter_context(cudnn_attention_off())
        # The missing memory may be held by torch's cache after generation.
        if not any(self._try(partial(self._merge, recipe)) for _ in range(2)):
            rest = "to merge beside the model; put fewer --engines on it, or pass"
            raise out_of_memory(self._folder, self._device, rest)

    def _merge(self, recipe: Recipe) -> bool:
        self._load(self._model, self._merger.merge(recipe))
        return True

    def _open(self) -> Any:
        free = free_memory(self._device)
        if free is not None:
            needed = memory_needs(self._config, self._dtype, trust_remote_code=self._trust_remote_code)
            load = MemoryEstimate(folder_name(self._folder), self._dtype, self._device, free, needed)
            load.check()
            # Estimated beforehand, since a system that runs out of memory kills the process without an error.
            self._budget = min(self._budget, load.tokens)
        model = load_model(
            self._folder,
            self._config,
            device=self._device,
            dtype=self._dtype,
            trust_remote_code=self._trust_remote_code,
            new_model=self._new_model,
        )
        if self._device == "cpu" and model.num_parameters() <= SMALL_MODEL:
            torch.set_num_threads(1)
        model.eval()
        model.requires_grad_(False)
        # `generate` takes its defaults from here; only the tokens may come from the model.
        settings: Any = GenerationConfig
        pad = self._chat.pad_id
        model.generation_config = settings(
            eos_token_id=self._stop_tokens or None,
            # Some tokenizers' padding token has no embedding; any token works, since padding is masked.
            pad_token_id=pad if pad < model.get_input_embeddings().weight.shape[0] else 0,
        )
        return model

    def _answer(
        self, batch: Sequence[Conversation], sampling: Sampling, halted: threading.Event
    ) -> tuple[Answer, ...]:
        """Answer all turns of a batch; later turns contain the model's earlier answers."""
        for conversation in batch:
            conversation.restart()
        while True:
            turns: list[tuple[Conversation, Turn]] = []
            for conversation in batch:
                prompt = conversation.prompt(self._chat, self._context, sampling)
                if prompt is not None:
                    turns.append((conversation, Turn(prompt, self._reader, sampling)))
            if not turns or halted.is_set():
                return tuple(answer for conversation in batch for answer in conversation.answers())
            self._take_turns(turns, halted)

    def _take_turns(self, turns: Sequence[tuple[Conversation, Turn]], halted: threading.Event) -> None:
        """Generate until every turn has ended."""
        while (still := [pair for pair in turns if pair[1].finish is None]) and not halted.is_set():
            # Rows with a lower limit are decoded separately, so that the others do not depend on them.
            for limit in dict.fromkeys(turn.limit for _, turn in still):
                self._go_on([pair for pair in still if pair[1].limit == limit], limit, halted)
        for conversation, turn in turns:
            conversation.add(turn.reply())

    def _go_on(self, turns: Sequence[tuple[Conversation, Turn]], limit: int, halted: threading.Event) -> None:
        rows = [_row(conversation, turn) for conversation, turn in turns]
        stop = turns[0][1].sampling.stop
        decoded = decode(self._model, self._chat, rows, limit=limit, stop=stop, halted=halted)
        for (_, turn), (ids, finish) in zip(turns, decoded, strict=True):
            turn.take(ids, finish)

    def _rate(self, batch: Sequence[Sequence[tuple[int, Continuation]]]) -> dict[int, LogLikelihood]:
        places = [place for group in batch for place in group]
        pad = self._model.generation_config.pad_token_id
        rated = log_likelihoods(self._model, [pair for _, pair in places], pad)
        return {index: found for (index, _), found in zip(places, rated, strict=True)}


def _halves(group: list[T]) -> list[list[T]]:
    """Return the halves of a group of continuations; empty if there is only one."""
    middle = len(group) // 2
    return [group[:middle], group[middle:]] if middle else []


def _row(conversation: Conversation, turn: Turn) -> Row:
    """Return the decoder's row to continue a turn."""
    seed = answer_seed(turn.sampling.seed, conversation.question, conversation.turn, conversation.samples[0])
    return Row(turn.context, conversation.temperature, seed, drawn=len(turn.ids))


if TYPE_CHECKING:
    _engine: type[Engine] = TransformersEngine
