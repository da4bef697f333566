"""The measurements of the check of a GPU."""

from __future__ import annotations

import asyncio
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from perf.gpu.figures import Figure, Size
from perf.gpu.kinds import VALUES, rows_of_every_kind
from perf.gpu.models import CUDA, ROLES, write_models
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.judging.local.transformers import TransformersChat
from tvmerge.judging.spec import JudgeSpec
from tvmerge.merging.device.cuda import Gpu
from tvmerge.merging.device.hardware import Device, RefusedError
from tvmerge.merging.device.merger import DeviceMerger
from tvmerge.merging.device.transfers import PIECE, RINGS
from tvmerge.merging.device.work import Wanted
from tvmerge.merging.kernels.arithmetic import merge_rows
from tvmerge.merging.live import load_into, new_model
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.open import Merge, open_merge
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.testing.accelerator import MemoryDevice

WEIGHT = 0.625
"""Of every tensor. It has few bits, so that nearly every float32 sum is exact."""

CHECKED = 2**23
"""Elements whose values are checked at a time: all of each tensor, since its pieces come different ways."""


class NoPages(Gpu):
    """A GPU that cannot read the pages of files, as in WSL2."""

    def register(self, address: int, size: int) -> None:
        """Refuse."""
        raise RefusedError("turned off for this measurement")


class Check:
    """The measurements, each of which yields figures and lines of text.

    Args:
        folder: Where the models are written.
        place: The device.
        size: How much is measured.

    Attributes:
        wrong: Number of merged values that are not the correctly rounded sum.
        checked: Number of values that were checked.
    """

    def __init__(self, folder: Path, place: torch.device, size: Size) -> None:
        self.folder, self.place, self.size = folder, place, size
        self.wrong = self.checked = 0
        self._copy = self._pinned = 0.0

    def kinds(self) -> Iterator[str]:
        """Merge tensors of every kind and format, and compare them with the CPU, bit for bit."""
        rows = rows_of_every_kind()
        told: list[str] = []
        for room, rounded in product((0, 2**60), (torch.bfloat16, torch.float16, torch.float32)):
            merger = DeviceMerger(self._device(), rows, room=room, tell=told.append)
            outs = [torch.empty(row.spec.shape, dtype=torch.float32, device=self.place) for row in rows]
            wanted = [Wanted(row, VALUES, out, rounded) for row, out in zip(rows, outs, strict=True)]
            for row, (_, made) in zip(rows, merger.merge(iter(wanted)), strict=True):
                expected = torch.empty(row.spec.shape)
                merge_rows(row, VALUES, expected, rounded, slice(0, row.shape[0]))
                self.wrong += int((made.cpu() != expected).sum())
                self.checked += expected.numel()
            merger.close()
        yield f"{len(rows)} kinds of tensors: {self.wrong:,} of {self.checked:,} values differ from the CPU's"
        yield from dict.fromkeys(told)

    def make_models(self) -> Iterator[Figure]:
        """Write three random models, made on the device."""
        started = time.perf_counter()
        count = write_models(self.folder, self.place, self.size)
        yield Figure("parameters of each model", count / 1e9, "1e9")
        yield Figure("three models made and written", time.perf_counter() - started, "s")

    def copies(self) -> Iterator[Figure]:
        """Measure what the hardware reaches."""
        size = self.size.copied
        there = torch.zeros(2, size, dtype=torch.uint8, device=self.place)
        self._copy = 2 * size / self._best(lambda: there[0].copy_(there[1]))
        yield Figure("copying within the device, read and written", self._copy / 1e9, "GB/s")
        host = torch.zeros(size // 2, dtype=torch.uint8, pin_memory=self.place.type == "cuda")
        into = there[0, : size // 2]
        self._pinned = into.numel() / self._best(lambda: into.copy_(host, non_blocking=True))
        yield Figure("copying from pinned memory", self._pinned / 1e9, "GB/s")

    def merges(self) -> Iterator[Figure | str]:
        """Merge with resident sources, from the page cache, and through rings."""
        merge = self._open()
        model: Any = new_model(dict(merge.donor.config), dtype=torch.bfloat16, device=str(self.place))
        live = sum(parameter.nbytes for parameter in model.parameters())
        ways: list[tuple[str, int, Callable[[], Device], float, float, float]] = [
            ("sources on the device", 2**60, self._device, 4 * live, self._copy, 0.9),
            ("sources in the page cache", 0, self._device, 3 * live, self._pinned, 0.85),
            ("sources through pinned rings", 0, self._without_pages, 3 * live, self._pinned, 0.45),
        ]
        for name, room, device, moved, speed, goal in ways:
            before, opened = _host_memory(), device()
            merger = RecipeMerger(merge.merger.plan, open_device=partial(_opened, opened))
            merger.source_room = room
            load = partial(_load, model, merger)
            first = self._seconds(partial(load, _uniform(merge, WEIGHT)))
            self._compare(model, merge)
            recipes = [_uniform(merge, 0.3 + n / 100) for n in range(5)]
            seconds = statistics.median(self._seconds(partial(load, recipe)) for recipe in recipes)
            yield Figure(f"{name}: first merge", first, "s")
            yield Figure(f"{name}: a merge", 1000 * seconds, "ms")
            yield Figure(f"{name}: of the copy's speed", moved / seconds / speed, "", goal)
            if not room:
                rings = RINGS.lanes * PIECE if device == self._without_pages else 0
                grown = max(_host_memory() - before, rings)
                yield Figure(f"{name}: memory of the host", grown / 1e6, "MB", 500, at_most=True)
            yield from merger.remarks
            merger.release()

    def answers(self) -> Iterator[Figure | str]:
        """Answer with the transformers engine."""
        merge = self._open()
        merger = RecipeMerger(merge.merger.plan, open_device=self._open_device)
        folder = self.folder / "target"
        engine = TransformersEngine(
            folder,
            ChatFormat(folder),
            merger,
            load_into,
            stop_tokens=[],
            device=str(self.place),
            dtype=torch.bfloat16,
        )
        with asyncio.Runner() as runner:
            yield from self._answers(engine, merge, runner)
            yield from engine.remarks
            runner.run(engine.close())

    def _answers(
        self, engine: TransformersEngine, merge: Merge, runner: asyncio.Runner
    ) -> Iterator[Figure | str]:
        sampling = Sampling(max_new_tokens=self.size.tokens, default_temperature=0.0)

        def answer(rows: int, words: int) -> float:
            return self._seconds(lambda: runner.run(_answer(engine, rows, words, sampling)))

        runner.run(engine.apply(_uniform(merge, 0.5)))
        answer(1, 5)  # starts everything that is started once
        for number, rows in enumerate(self.size.rows):
            first, second = (answer(rows, 20 + 7 * number) for _ in range(2))
            yield Figure(f"{rows} rows, second batch of a shape", second, "s")
            yield Figure(f"{rows} rows, first batch to the second", first / second, "", 1.3, at_most=True)
        yield Figure(f"{rows} rows, a decoding step", 1000 * second / self.size.tokens, "ms")
        merging = answering = 0.0
        for trial in range(self.size.trials):
            recipe = _uniform(merge, 0.3 + trial / 100)
            merging += self._seconds(partial(_run, runner, engine, recipe))
            answering += answer(rows, 10 + trial)
        share = merging / (merging + answering)
        yield Figure(f"{self.size.trials} trials: a merge", 1000 * merging / self.size.trials, "ms")
        yield Figure(f"{self.size.trials} trials: share that merging takes", share, "", 0.03, at_most=True)

    def judge(self) -> Iterator[Figure | str]:
        """Generate with a 4-bit judge next to the candidate."""
        if importlib.util.find_spec("bitsandbytes") is None:
            yield "local 4-bit judge: skipped, since the package bitsandbytes is not installed"
            return
        spec = JudgeSpec(
            name="local",
            provider="local",
            model=str(self.folder / "base"),
            quantization="4bit",
            device_map=str(self.place),
        )
        chat = TransformersChat(spec)
        asked = [[{"role": "user", "content": f"Rate answer {n}."}] for n in range(8)]
        prompts = chat.encode([{"messages": messages} for messages in asked])
        body = {"max_new_tokens": 16, "temperature": 0}
        found: list[Any] = []
        seconds = self._seconds(
            lambda: found.extend(chat.generate(prompts, body, seeds=[0] * 8, temperatures=[0.0] * 8))
        )
        yield Figure("local 4-bit judge: replies to 8 prompts", sum(one.tokens > 0 for one in found), "", 8)
        yield Figure("local 4-bit judge: seconds", seconds, "s")

    def _compare(self, model: Any, merge: Merge) -> None:
        """Count elements that are not within the rounding of the exact sum."""
        state = model.state_dict()
        for row in merge.merger.plan.rows:
            sources = [operand.checkpoint.tensor(operand.name).reshape(-1) for operand in row.operands]
            made = state[row.name].reshape(-1)
            for start in range(0, made.numel(), CHECKED):
                part = slice(start, start + CHECKED)
                self._compare_part(made[part], *(source[part].to(self.place) for source in sources))

    def _compare_part(
        self, made: torch.Tensor, target: torch.Tensor, tuned: torch.Tensor, base: torch.Tensor
    ) -> None:
        step = WEIGHT * (tuned.double() - base.double())
        # The float32 sum may be off by its own rounding, which counts only next to a tie.
        slack = 2.0**-22 * (target.double().abs() + step.abs())
        low, high = ((target.double() + step + by).bfloat16() for by in (-slack, slack))
        self.wrong += int(((made < low) | (made > high) | made.isnan()).sum())
        self.checked += made.numel()

    def _open(self) -> Merge:
        target, base, tuned = (str(self.folder / role) for role in ROLES)
        return open_merge(target, base, tuned, "layer", verify=False)

    def _open_device(self, place: torch.device) -> Device:
        return self._device()

    def _device(self) -> Device:
        return Gpu(self.place) if self.place.type == "cuda" else MemoryDevice()

    def _without_pages(self) -> Device:
        return NoPages(self.place) if self.place.type == "cuda" else MemoryDevice(refuses=["pages"])

    def _seconds(self, work: Callable[[], object]) -> float:
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - started

    def _best(self, work: Callable[[], object]) -> float:
        return min(self._seconds(work) for _ in range(5))

    def _wait(self) -> None:
        if self.place.type == "cuda":
            CUDA.synchronize(self.place)


def _opened(device: Device, _: torch.device) -> Device:
    return device


def _load(model: Any, merger: RecipeMerger, recipe: Recipe) -> None:
    load_into(model, merger.merge(recipe))


def _run(runner: asyncio.Runner, engine: TransformersEngine, recipe: Recipe) -> None:
    runner.run(engine.apply(recipe))


async def _answer(engine: TransformersEngine, rows: int, words: int, sampling: Sampling) -> None:
    questions = [Question(row, "math", ("word " * words,)) for row in range(rows)]
    async with aclosing(engine.generate(questions, sampling)) as stream:
        async for _ in stream:
            pass


def _uniform(merge: Merge, weight: float) -> Recipe:
    return Recipe(dict.fromkeys(merge.group_names, weight))


def _host_memory() -> int:
    """Return the process's bytes that are no pages of files; 0 if the system does not report them."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))
