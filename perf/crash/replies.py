"""Kills a process that asks for ratings, again and again while replies arrive.

    python -m perf.crash.replies [--kills 100] [--seed 0]

A process asks a judge over a loopback network for 120 ratings, 8 at a time, through the real SDK, with the
cache, the ledger and the journal of a run. It is killed with kill -9 within 40 ms after a reply has left the
judge, so that many kills hit between the arrival of a reply and its storage, and started again until it has
all ratings. At each kill what is entered must be stored or about to be, and the other way round, and nothing
of it may be asked for again. Printed, too, are the replies that the SDK had handed over and that were not
written yet, which takes a fraction of a millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from perf.crash import child
from perf.crash.books import read_books
from perf.crash.ended import Account, account
from perf.crash.study import Hit
from tests.cli.killing import PARALLEL
from tests.cli.slowness import SlowJudge
from tests.judging.chats import KEY, a_spec
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.journal import open_journal
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat

Counted = Any
"""A number in memory that processes share."""

RATINGS = 120
KILLS_EACH = 5
_LATEST = 0.04
"""Seconds after a reply within which the process is killed."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([child.__name__])  # imports what a run imports


class CountingChat(ChatWrapper):
    """Counts the replies that the SDK hands over.

    Args:
        inner: The provider.
        arrived: The count.
    """

    def __init__(self, inner: ChatModel, arrived: Counted) -> None:
        super().__init__(inner)
        self._arrived = arrived

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the provider's reply."""
        reply = await self._inner.send(request)
        self._arrived.value += 1  # in shared memory, so that nothing waits for it
        return reply


def ask(folder: Path, url: str, arrived: Counted) -> None:
    """Ask for all ratings, and count the replies that the SDK hands over."""
    asyncio.run(_ask(folder, url, arrived))


async def _ask(folder: Path, url: str, arrived: Counted) -> None:
    with closing(ContentCache(folder / "cache" / "judgments")) as cache:
        path = folder / "run" / "ledger.jsonl"
        ledger = Ledger(path)
        journal = open_journal(path.with_suffix(".journal"), cache, ledger)
        spec = a_spec(url, price_input=1.0, price_output=1.0)
        policy = RequestPolicy(cache=cache, ledger=ledger, journal=journal, concurrency=PARALLEL)
        provider = CountingChat(create_chat(spec, {"TEST_KEY": KEY}), arrived)
        chat = pipeline(provider, spec, policy)
        requests = [chat.request("", f"{number}番目の答え" * 50, RatingFormat()) for number in range(RATINGS)]
        await asyncio.gather(*map(chat.send, requests))
        await chat.close()


def play(folder: Path, kills: int, seed: int) -> tuple[list[Hit], Account]:
    """Kill a process so many times, then let it end.

    Raises:
        RuntimeError: It ended with an error.
    """
    rng, hits = Random(seed), list[Hit]()
    with SlowJudge(seed=seed) as judge:
        for _ in range(kills):
            hits += [hit] if (hit := _strike(folder, judge, rng)) is not None else []
        process, _ = _start(folder, judge)
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"the process ended with {process.exitcode}")
        return hits, account(hits, read_books(folder, judge))


def _strike(folder: Path, judge: SlowJudge, rng: Random) -> Hit | None:
    """Start a process and kill it; None if it ended before."""
    enough = judge.answered + rng.randint(1, RATINGS // KILLS_EACH)
    process, arrived = _start(folder, judge)
    while judge.answered < enough and process.is_alive():
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, _LATEST))
    in_flight = judge.in_flight
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode == 0:
        return None
    while judge.in_flight:
        time.sleep(0.01)
    return Hit("judging", process.exitcode, in_flight, read_books(folder, judge), arrived.value)


def _start(folder: Path, judge: SlowJudge) -> tuple[BaseProcess, Counted]:
    arrived = _CONTEXT.Value("L", 0, lock=False)
    process = _CONTEXT.Process(target=ask, args=(folder, judge.base_url, arrived))
    process.start()
    return process, arrived


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each five kills, and the sum; the exit code is 1 if a reply was lost or paid twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    made, found = 0, list[Account]()
    while made < args.kills:
        with tempfile.TemporaryDirectory() as folder:
            hits, requests = play(Path(folder), KILLS_EACH, args.seed + len(found))
        made += len(hits)
        found.append(requests)
        waiting = sum(hit.books.not_entered for hit in hits[-1:])
        print(f"{len(hits)} kills, {waiting} on the wire: {requests}", flush=True)
    print(
        f"{made} kills: sent {sum(a.sent for a in found)} = entered {sum(a.entered for a in found)} + on the "
        f"wire {sum(a.on_the_wire for a in found)}; stored {sum(a.stored for a in found)}, sent again "
        f"{sum(a.again for a in found)}, paid twice {sum(a.twice for a in found)}; read and not yet written "
        f"{sum(a.missed for a in found)}"
    )
    raise SystemExit(0 if all(requests.balanced for requests in found) else 1)


if __name__ == "__main__":
    main()
