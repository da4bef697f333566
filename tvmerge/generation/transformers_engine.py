"""The transformers engine: one live model, changed in place, answering in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessorList
from transformers.utils import logging

from tvmerge.errors import CheckpointError
from tvmerge.generation.batches import length_sorted
from tvmerge.generation.chat import ChatFormat, Message
from tvmerge.generation.sampling import SeededSampling, answer_seed
from tvmerge.protocols import Merger
from tvmerge.records import Answer, Finish, Question, Recipe, Sampling

T = TypeVar("T")
Loader = Callable[[Any, Iterable[tuple[str, torch.Tensor]]], None]
"""Puts a stream of (checkpoint name, tensor) into a live model, in place."""

SMALL_MODEL = 30_000_000
"""Parameters up to which an operation is too short to be worth splitting over threads."""


@dataclass(slots=True)
class _Job:
    """One conversation being answered."""

    question: Question
    sample: int
    messages: list[Message] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    finish: list[Finish] = field(default_factory=list)


class TransformersEngine:
    """Answers questions with a model of the transformers library.

    The model is loaded at the first `apply`, so a run whose answers are all cached loads none. All work is
    done in one thread of its own: the event loop stays free for the judges.

    Args:
        folder: The target model's folder: configuration, weights, generation config.
        chat: The target's tokenizer and chat template.
        merger: Makes the tensors of a recipe.
        load: Puts them into the model.
        device: `cpu`, `cuda` or `cuda:N`.
        dtype: What the model computes in.
        batch_tokens: Token budget of a batch, prompts, padding and new tokens included.
        trust_remote_code: Whether the model may bring code of its own.
    """

    def __init__(
        self,
        folder: Path,
        chat: ChatFormat,
        merger: Merger,
        load: Loader,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_tokens: int = 16384,
        trust_remote_code: bool = False,
    ) -> None:
        self._folder = folder
        self._chat = chat
        self._merger = merger
        self._load = load
        self._device = device
        self._dtype = dtype
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code
        self._model: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`."""
        await self._in_thread(lambda: self._apply(recipe))

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncIterator[tuple[Answer, ...]]:
        """Answer every question, in batches of similar length."""
        jobs = [_Job(question, sample) for question in questions for sample in range(sampling.samples)]
        lengths = await self._in_thread(lambda: [len(self._prompt(job, 0)) for job in jobs])
        room = sampling.max_new_tokens
        for batch in length_sorted(jobs, lengths, room=room, budget=self._batch_tokens):
            yield await self._in_thread(partial(self._answer, batch, sampling))

    async def close(self) -> None:
        """Free the model."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._model = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _apply(self, recipe: Recipe) -> None:
        if self._model is None:
            self._model = self._open()
        self._load(self._model, self._merger.merge(recipe))

    def _open(self) -> Any:
        logging.disable_progress_bar()
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                self._folder, dtype=self._dtype, trust_remote_code=self._trust_remote_code
            )
            model.to(self._device)
        except (OSError, ValueError, RuntimeError) as error:
            first_line = str(error).strip().split("\n")[0]
            raise CheckpointError(f"{self._folder.name}: the model cannot be loaded: {first_line}") from error
        if self._device == "cpu" and model.num_parameters() <= SMALL_MODEL:
            torch.set_num_threads(1)
        model.eval()
        model.requires_grad_(False)
        # `generate` fills what a call leaves open from here: only the tokens are the model's to decide.
        settings: Any = GenerationConfig
        model.generation_config = settings(
            eos_token_id=model.generation_config.eos_token_id or self._chat.tokenizer.eos_token_id,
            pad_token_id=self._chat.pad_id,
        )
        return model

    def _answer(self, batch: Sequence[_Job], sampling: Sampling) -> tuple[Answer, ...]:
        """Answer all turns of a batch; later turns see the model's own earlier answers."""
        for turn in range(max(len(job.question.turns) for job in batch)):
            active = [job for job in batch if turn < len(job.question.turns)]
            prompts = [self._prompt(job, turn) for job in active]
            decoded = self._decode(active, prompts, turn, sampling)
            for job, (ids, finish) in zip(active, decoded, strict=True):
                text = self._chat.decode(ids)
                job.turns.append(text)
                job.finish.append(finish)
                job.messages.append({"role": "assistant", "content": text})
        return tuple(
            Answer(job.question.question_id, tuple(job.turns), tuple(job.finish), job.sample) for job in batch
        )

    def _prompt(self, job: _Job, turn: int) -> list[int]:
        message = {"role": "user", "content": job.question.turns[turn]}
        if len(job.messages) == 2 * turn:
            job.messages.append(message)
        return self._chat.encode(job.messages)

    @torch.inference_mode()
    def _decode(
        self, jobs: Sequence[_Job], prompts: Sequence[list[int]], turn: int, sampling: Sampling
    ) -> list[tuple[list[int], Finish]]:
        """New token ids of each prompt, without the end token and the padding behind it."""
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self._chat.pad_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        output = self._model.generate(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            do_sample=False,
            max_new_tokens=sampling.max_new_tokens,
            logits_processor=LogitsProcessorList(_samplers(jobs, turn, sampling, width)),
        )
        ends = _as_list(self._model.generation_config.eos_token_id)
        return [_until_end(row, ends) for row in cast("torch.Tensor", output)[:, width:].tolist()]


def _samplers(jobs: Sequence[_Job], turn: int, sampling: Sampling, width: int) -> list[SeededSampling]:
    temperatures = [sampling.temperature(job.question.category) for job in jobs]
    if not any(temperatures):
        return []
    seeds = [answer_seed(sampling.seed, job.question, turn, job.sample) for job in jobs]
    return [SeededSampling(temperatures, seeds, width, sampling.max_new_tokens)]


def _as_list(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else ids


def _until_end(row: list[int], ends: Sequence[int]) -> tuple[list[int], Finish]:
    for position, token in enumerate(row):
        if token in ends:
            return row[:position], "stop"
    return row, "length"
