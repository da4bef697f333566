"""An engine in a separate process: the same answers, and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from tvmerge.engines.remote import process as process_engine
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.process import ProcessEngine, SharedProcess
from tvmerge.errors import AssetError, CheckpointError
from tvmerge.merging.open import Merge
from tvmerge.records import Continuation, LogLikelihood, Recipe
from tvmerge.testing.engine_contract import GREEDY, WARM, EngineContract
from tvmerge.testing.models import answers_of, demo_questions, open_models, uneven

QUESTIONS = demo_questions()


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


@pytest.fixture(scope="module")
def entry(demo_models: Path) -> Entry:
    return Entry("tests.engines.models:open_demo_engine", {"folder": str(demo_models)})


@pytest.fixture(scope="module")
def small_batches(entry: Entry) -> Entry:
    return Entry(entry.function, {**entry.settings, "batch_tokens": 400})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(entry: Entry) -> AsyncIterator[ProcessEngine]:
    opened = await ProcessEngine.start(entry)
    yield opened
    await opened.close()


@pytest.mark.asyncio(loop_scope="module")
class TestProcessEngine(EngineContract):
    """The contract of all engines."""


async def test_what_the_engine_in_the_process_remarks_comes_out() -> None:
    engine = await ProcessEngine.start(Entry("tests.engines.entries:Endless", {}))
    assert list(engine.remarks) == []
    await engine.apply(Recipe({"a": 1.0}))
    assert list(engine.remarks) == ["pages cannot be registered"]
    await engine.close()


def alive(pid: int) -> bool:
    """Whether a process is there; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


async def test_an_engine_that_is_killed_says_so_and_leaves_no_process(
    small_batches: Entry, merge: Merge
) -> None:
    engine = await ProcessEngine.start(small_batches)
    await engine.apply(uneven(merge))
    stream = engine.generate(QUESTIONS, WARM)
    await anext(stream)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineLostError, match="killed by SIGKILL"):
        async for _ in stream:
            pass
    with pytest.raises(EngineLostError, match="killed by SIGKILL"):
        await engine.apply(uneven(merge))
    await engine.close()
    assert not alive(engine.pid)


async def test_a_cancelled_caller_leaves_a_usable_engine(small_batches: Entry, merge: Merge) -> None:
    engine = await ProcessEngine.start(small_batches)
    for stage in range(4):
        asking = asyncio.create_task(answers_of(engine, uneven(merge), QUESTIONS, WARM))
        for _ in range(20 * stage):
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    found = await answers_of(engine, uneven(merge), QUESTIONS[:3], GREEDY)
    assert found == await answers_of(engine, uneven(merge), QUESTIONS[:3], GREEDY)
    await engine.close()


async def test_a_caller_that_leaves_ends_the_batch_in_work() -> None:
    engine = await ProcessEngine.start(Entry("tests.engines.entries:Endless"))
    for _ in range(2):
        async with aclosing(engine.generate(QUESTIONS[:2], GREEDY)) as stream:
            await anext(stream)
        assert await engine.loglikelihood([Continuation((1,), (1,))]) == [LogLikelihood(0.0, greedy=True)]
    await engine.close()


async def test_closing_in_the_middle_of_a_batch_ends_the_process_in_time() -> None:
    engine = await ProcessEngine.start(Entry("tests.engines.entries:Endless"))
    begun = asyncio.Event()

    async def ask() -> None:
        async with aclosing(engine.generate(QUESTIONS[:2], GREEDY)) as stream:
            async for _ in stream:
                begun.set()

    asking = asyncio.create_task(ask())
    await begun.wait()
    asking.cancel()
    await engine.close()
    assert not alive(engine.pid)
    await asyncio.wait([asking])


async def test_an_engine_that_cannot_be_opened_says_why() -> None:
    with pytest.raises(CheckpointError, match="there is no such model"):
        await ProcessEngine.start(Entry("tests.engines.entries:refused"))


async def test_an_unexpected_error_ends_the_process_and_is_told_in_its_last_words() -> None:
    with pytest.raises(EngineLostError, match="ended with code 1: RuntimeError: CUDA error: an illegal"):
        await ProcessEngine.start(Entry("tests.engines.entries:broken"))


async def test_engines_that_share_a_process_answer_side_by_side_and_die_together() -> None:
    shared = SharedProcess(Entry("tests.engines.entries:several"), {})
    first, second = await shared.engine(0), await shared.engine(1)
    assert [first.capabilities.engine, second.capabilities.engine] == ["number 0", "number 1"]
    await first.apply(Recipe({"a": 1.0}))
    async with aclosing(first.generate(QUESTIONS[:2], GREEDY)) as endless:
        [[answer]] = [await anext(endless)]
        assert answer.turns == ("done",)
        await second.apply(Recipe({"a": 2.0}))
        assert await second.loglikelihood([Continuation((1,), (2,))]) == [LogLikelihood(1.0, greedy=True)]
        os.kill(first.pid, signal.SIGKILL)
        for lost in (anext(endless), second.apply(Recipe())):
            with pytest.raises(EngineLostError, match="killed by SIGKILL"):
                await lost
    await first.close()
    again = await shared.engine(0)
    assert again.pid != first.pid
    await second.close()
    with_it = await shared.engine(1)
    assert with_it.pid == again.pid
    await with_it.close()
    assert alive(again.pid)
    await again.close()
    assert not alive(again.pid)
    last = await shared.engine(0)
    assert last.pid != again.pid
    await last.close()


async def test_the_environment_reaches_the_engine() -> None:
    entry = Entry("tests.engines.entries:tell")
    with pytest.raises(AssetError, match="only-this-one"):
        await ProcessEngine.start(entry, {"TVMERGE_TEST_DEVICE": "only-this-one"})


PARENT = """
import asyncio, sys
from tests.engines.remote.test_process import *
from tvmerge.testing.models import open_models

async def work():
    entry = Entry("tests.engines.models:open_demo_engine", {"folder": sys.argv[1]})
    engine = await ProcessEngine.start(entry)
    print(engine.pid, flush=True)
    await answers_of(engine, uneven(open_models(Path(sys.argv[1]))), QUESTIONS, WARM)
    await asyncio.sleep(3600)

asyncio.run(work())
"""


async def test_a_run_that_is_killed_takes_its_engines_with_it(demo_models: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(demo_models), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    await parent.wait()
    while alive(pid):
        await asyncio.sleep(0.01)


async def test_many_continuations_are_rated_a_request_at_a_time_and_in_order(
    entry: Entry, merge: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [Continuation((1, 2, 3 + n), (4, 5 + n)) for n in range(7)]
    recipe = Recipe(dict.fromkeys(merge.group_names, 0.5))
    engine = await ProcessEngine.start(entry)
    try:
        await engine.apply(recipe)
        together = await engine.loglikelihood(pairs)
        monkeypatch.setattr(process_engine, "REQUEST_TOKENS", 12)
        apart = await engine.loglikelihood(pairs)
    finally:
        await engine.close()
    assert len({one.logprob for one in together}) == len(pairs)
    assert [one.logprob for one in apart] == pytest.approx([one.logprob for one in together], rel=1e-5)
