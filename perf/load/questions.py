"""Memory and storing of a run with many questions."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from perf.load.shared import benchmark, new_folder, optimize, report
from tests.servers.openai_server import OpenAIServer
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.ledger import Ledger
from tvmerge.records import Answer, Question, Recipe, Sampling
from tvmerge.tasks.fastchat.answer_log import AnswerLog
from tvmerge.testing.scripted import ScriptedEngine, mean_weight

IN_FLIGHT, BATCH = 256, 32
WRITERS = ((ContentCache, "put_packed"), (Ledger, "write"), (AnswerLog, "keep"))

_LETTERS = "".join(map(chr, (*range(0x3042, 0x3094), *range(0x4E00, 0x5000))))


def measure_questions(number: int) -> None:
    """Print the memory and the time to store of a run with many questions."""
    with new_folder() as folder, _server() as url:

        def run(name: str, asked: int) -> None:
            bench = benchmark(folder / name / "bench", asked, name)
            engine = BatchEngine(answering=_answer)
            optimize(folder / name, bench, engine, judge="gpt-4", judge_base_url=url, parallel=IN_FLIGHT)

        run("few", 100)
        with Memory() as memory, Timed() as timed:
            begun = time.perf_counter()
            run("many", number)
            seconds = time.perf_counter() - begun
    asked = f"{number:,} questions"
    report(f"{asked}: memory", f"{memory.gained / 1e6:+.0f} MB", "+60 MB")
    report(f"{asked}: storing", f"{timed.seconds:.1f} s, {timed.processor:.1f} s of a processor", "5 s")
    report(f"{asked}: the run", f"{seconds:.0f} s", "none")


class BatchEngine(ScriptedEngine):
    """Answers in micro-batches, as real engines do."""

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        """Answer the questions."""
        batch: list[Answer] = []
        async with aclosing(super().generate(questions, sampling)) as stream:
            async for answers in stream:
                batch += answers
                if len(batch) >= BATCH:
                    yield tuple(batch)
                    batch = []
        if batch:
            yield tuple(batch)


def _answer(recipe: Recipe, question: Question) -> str:
    draw = random.Random(f"{question.turns[0]} {mean_weight(recipe, question)}")
    return "".join(draw.choices(_LETTERS, k=500))


class Memory:
    """The largest number of bytes in pages of this process's own, beyond those at the start."""

    def __enter__(self) -> Memory:
        self._start = self._most = _own_bytes()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watch_it, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def gained(self) -> int:
        """How much more than at the start it was at most."""
        return self._most - self._start

    def look(self) -> None:
        """Take note of what there is now."""
        self._most = max(self._most, _own_bytes())

    def _watch_it(self) -> None:
        while not self._over.wait(0.02):
            self.look()


def _own_bytes() -> int:
    """Return the bytes of pages that belong to no file, in memory or swapped out."""
    rows = (line.split() for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return sum(int(row[1]) * 1024 for row in rows if row[0] in {"RssAnon:", "VmSwap:"})


class Timed:
    """The seconds that threads spend in `WRITERS`.

    Attributes:
        seconds: Seconds in all threads.
        processor: Seconds of a processor; the rest was waiting, also for other programs.
    """

    def __enter__(self) -> Timed:
        self.seconds = self.processor = 0.0
        self._before = [(kind, name, getattr(kind, name)) for kind, name in WRITERS]
        for kind, name, write in self._before:
            setattr(kind, name, self._timing(write))
        return self

    def __exit__(self, *_: object) -> None:
        for kind, name, write in self._before:
            setattr(kind, name, write)

    def _timing(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun, busy = time.perf_counter(), time.thread_time()
            try:
                return write(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begun
                self.processor += time.thread_time() - busy

        return timed


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """The address of a judge in another process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _serve(pipe: Connection) -> None:
    with OpenAIServer(reply=lambda _: "回答は自然で読みやすいが、例が少ない。" * 8 + "[[7]]") as server:
        pipe.send(server.base_url)
        pipe.recv()
