"""Counts what studies that share a cache pay for twice.

    python -m perf.shared_cache [--studies 3] [--rounds 4]

Several studies with the same settings start at the same time, each a process of the command line with a run
folder of its own. They share a cache and a judge, a real server on the loopback interface that takes 0.1 to
0.3 s for a rating and counts the requests. In every second round the first study is killed with SIGKILL in
the middle, and started again once the others have ended.

Prints, for each round, the requests that the server answered, how many of them it had been asked before, the
replies stored and the calls entered in the ledgers. Goals: nothing is sent again but what was in flight at
the kill; sent = stored = entered, except for those.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.cli.killing import Setting, flags, write_benchmark
from tests.servers import rules
from tests.servers.http import Request
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.ledger import read_ledger

SETTING = Setting("TPE", 4, trials=8, questions=32)
SECONDS = (0.1, 0.3)
KILL_AFTER = 60
"""Number of requests after which the first study is killed."""


class Judge(OpenAIServer):
    """Rates by the rules, in its own time."""

    def __init__(self, seed: int) -> None:
        super().__init__(reply=rules.reply, gate=self._wait)
        self._random = random.Random(seed)

    async def _wait(self, _: Request) -> None:
        await asyncio.sleep(self._random.uniform(*SECONDS))

    @property
    def prompts(self) -> list[str]:
        """What was asked, in order."""
        return [user_prompt(request) for request in self.requests if request.body]


def main() -> None:
    """Run the rounds and print what was counted."""
    parser = argparse.ArgumentParser(description="Counts what studies that share a cache pay for twice.")
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder, Judge(number) as judge:
            kills = number % 2 == 1
            started = time.perf_counter()
            in_flight = _play(Path(folder), judge, given.studies, kills)
            counted = _counted(Path(folder), judge, in_flight)
            print(f"round {number + 1}, {counted}; {time.perf_counter() - started:.0f} s", flush=True)


def _play(folder: Path, judge: Judge, studies: int, kills: bool) -> int:
    """Run the studies to their end, and return the requests in flight at the kill."""
    bench = write_benchmark(folder / "bench", SETTING)
    started = [_start(folder, bench, judge, str(number)) for number in range(studies)]
    in_flight = 0
    if kills:
        while len(judge.requests) < KILL_AFTER and started[0].poll() is None:
            time.sleep(0.005)
        in_flight = judge.in_flight
        started[0].kill()
        started[0].wait()
    _check(started[kills:])
    if kills:
        _check([_start(folder, bench, judge, "0")])
    return in_flight


def _start(folder: Path, bench: Path, judge: Judge, name: str) -> subprocess.Popen[str]:
    argv = flags(folder / name, bench, SETTING, judge.base_url)
    command = [sys.executable, "-m", "tvmerge", *argv, "--no-judge-check"]
    env = {**os.environ, "TVMERGE_CACHE_DIR": str(folder / "cache"), "OPENAI_API_KEY": "k"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _check(studies: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for the studies.

    Raises:
        RuntimeError: One of them failed; says what it printed.
    """
    for study in studies:
        said, _ = study.communicate()
        if study.returncode:
            raise RuntimeError(said)


def _counted(folder: Path, judge: Judge, in_flight: int) -> str:
    with closing(ContentCache(folder / "cache" / "judgments")) as cache:
        stored = len(cache)
    entered = [read_ledger(path).calls for path in sorted(folder.glob("*/run/ledger.jsonl"))]
    again = len(judge.prompts) - len(set(judge.prompts))
    shared = " + ".join(map(str, entered))
    goal = f"at most {in_flight}, in flight at the kill" if in_flight else "0"
    return (
        f"{len(entered)} studies: {judge.answered} answered, {again} of them again (goal: {goal}), "
        f"{stored} stored, {sum(entered)} entered ({shared})"
    )


if __name__ == "__main__":
    main()
