"""Counts requests where judges fail: what the server was sent, what is stored, what is in the ledger.

    python -m perf.requests [--kinds cut slow ...] [--shapes turns panel ...]

Runs a small study of the demo's models for each kind of failure and each way in which one question becomes
several requests (its turns, samples, a panel, both orders of a pair), with the whole command line, the real
SDK and a server on the loopback interface. From the fourth request on, the server fails a few times. A run
that this ends is started again, as a user would.

At the end of each study, the requests that reached the server must be as many as in the ledger, and the
complete replies with a rating that it sent as many as in the cache; so none was lost, and none paid twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from examples.demo.generate import fresh_questions, question_row
from tests.servers import rules
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.assets import bundled_demo_models
from tvmerge._util.cache import ContentCache
from tvmerge._util.files import read_jsonl, write_jsonl
from tvmerge.cli.app import run

TRIALS = 2
FIRST = 4
"""Number of the request from which on the server fails, from 0."""
_RUNS = 4
"""Maximum number of runs of a study."""
_TIMEOUTS = {"slow": 1.0}
"""Seconds that a reply may take, if fewer than usual."""
_RATED = "Rating: [[7]]"
_MOVED = {"location": "http://elsewhere.invalid/v1/chat/completions"}
_NOW = {"retry-after": "0"}

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.run_imports"])  # imports what a run imports

FAILURES: Mapping[str, tuple[int, Response | None]] = {
    "good": (0, None),
    "402": (1, error(402, "Payment required")),
    "429": (3, error(429, "Slow down", headers=_NOW)),
    "500": (3, error(500, "Internal error", headers=_NOW)),
    "cut": (3, Response(completion(_RATED).body, breakage="truncate")),
    "oversize": (1, Response(gzip.compress(b" " * 2**23), headers={"content-encoding": "gzip"})),
    "slow": (2, Response({}, breakage="drip")),
    "redirect": (1, Response({}, status=307, headers=_MOVED)),
    "bad JSON": (3, Response('{"choices": [{"message": {"content": "Rating: [[9]]"}}], "choices": 0}')),
    "surrogates": (3, completion("\ud83d\x00")),
    "Ctrl-C": (0, None),
}
"""How often the server fails, and what it sends instead of a rating, or adds to it (surrogates)."""

SHAPES: Mapping[str, Sequence[str]] = {
    "turns": (),
    "samples": ("--judge-samples", "3"),
    "panel": ("--judge", "second.toml"),
    "orders": ("--judge-mode", "pairwise"),
}
"""What makes several requests of one question; the questions have two turns."""


@dataclass(frozen=True)
class Count:
    """Where the requests of a study went.

    Attributes:
        runs: How often it was started until it was done.
        sent: Requests that reached the server.
        entered: Requests in the ledger.
        good: Complete replies with a rating that the server sent.
        stored: Replies in the cache.
        code: Exit code of the last run.
    """

    runs: int
    sent: int
    entered: int
    good: int
    stored: int
    code: int | None

    @property
    def right(self) -> bool:
        """Whether nothing was lost or paid twice, and the study came to its end."""
        return self.sent == self.entered and self.good == self.stored and self.code == 0


class FailingJudge(OpenAIServer):
    """Rates, fails for a while, and rates again.

    Args:
        kind: How it fails, one of `FAILURES`.

    Attributes:
        process: The process of the run.
    """

    process: int

    def __init__(self, kind: str) -> None:
        super().__init__(script=self._reply_to, gate=self._wait if kind == "Ctrl-C" else None)
        self._times, self._failure = FAILURES[kind]
        self._interrupts = kind == "Ctrl-C"
        self._adds = kind == "surrogates"
        self._sent_good = 0

    @property
    def good(self) -> int:
        """How many ratings it has sent."""
        return self._sent_good

    @property
    def sent(self) -> int:
        """How many requests for a rating reached it."""
        return sum(request.body is not None for request in self.requests)

    def _reply_to(self, request: Request, number: int) -> Response:
        failure = self._failure if FIRST <= number < FIRST + self._times else None
        if failure is not None and not self._adds:
            return failure
        self._sent_good += 1
        return completion(_reply(request) + ("\ud83d\x00" if failure else ""))

    async def _wait(self, request: Request) -> None:
        """Take a while, and interrupt the run while several requests are in flight."""
        if not self._interrupts:
            return
        await asyncio.sleep(0.2)
        if self._interrupts and self.sent >= 2 * FIRST and self.in_flight > 1:
            self._interrupts = False
            os.kill(self.process, signal.SIGINT)
            await asyncio.sleep(0.2)


def _reply(request: Request) -> str:
    asked = str(request.body["messages"])
    return "Verdict: [[A]]" if "[[A]]" in asked else rules.reply(user_prompt(request))


def count(kind: str, shape: str, folder: Path, questions: int = 4) -> Count:
    """Run a study to its end, and count its requests.

    Args:
        kind: How the judge fails, one of `FAILURES`.
        shape: What makes several requests of a question, one of `SHAPES`.
        folder: A new folder for everything that the study writes.
        questions: Number of questions.
    """
    with FailingJudge(kind) as judge:
        _write_files(folder, judge.base_url, _TIMEOUTS.get(kind, 60.0), questions)
        code: int | None = 1
        runs = 0
        while code != 0 and runs < _RUNS:
            runs += 1
            process = _CONTEXT.Process(target=_run, args=(folder, [*_FLAGS, *SHAPES[shape]]), daemon=True)
            process.start()
            judge.process = process.pid or 0
            process.join()
            code = process.exitcode
        entered = sum(1 for _ in read_jsonl(folder / "run" / "ledger.jsonl"))
        return Count(runs, judge.sent, entered, judge.good, _stored(folder / "cache" / "judgments"), code)


def _run(folder: Path, argv: Sequence[str]) -> None:
    """Run a command in a process of its own, in `folder`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background ignores it
    os.environ["TVMERGE_CACHE_DIR"] = str(folder / "cache")
    os.chdir(folder)
    with (
        Path("log").open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        code = run(argv)
    raise SystemExit(code)


def _flags() -> Iterator[str]:
    models = bundled_demo_models()
    yield from ("optimize", "--bench-name", "bench", "--judge", "first.toml", "--run-dir", "run")
    yield from (f"--{role}-model={models / role}" for role in ("target", "base", "tuned"))
    yield from ("--optuna-sampler", "TPE", "--n-trials", str(TRIALS), "--holdout", "0", "--parallel", "4")
    yield from ("--max-new-tokens", "8", "--min-coverage", "0.5", "--judge-patience", "30")


_FLAGS = tuple(_flags())


def _write_files(folder: Path, url: str, timeout: float, questions: int) -> None:
    for name in ("first", "second"):
        text = f'provider = "openai"\nmodel = "{name}"\nbase_url = "{url}"\ntimeout = {timeout}\n'
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "bench").mkdir()
    made = [replace(question, turns=question.turns * 2) for question in fresh_questions(questions, seed=6)]
    write_jsonl(folder / "bench" / "question.jsonl", map(question_row, made))


def _stored(folder: Path) -> int:
    with closing(ContentCache(folder)) as cache:
        return sum(_is_judgment(row.value) for row in cache.rows())


def _is_judgment(row: object) -> bool:
    return isinstance(row, dict) and row.get("kind") == "judgment"


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each kind and shape; return 1 if a count is not right."""
    parser = argparse.ArgumentParser(prog="python -m perf.requests", description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=FAILURES, default=list(FAILURES))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    chosen = parser.parse_args(argv)
    print(f"{'kind':<12}{'shape':<10}{'runs':>5}{'sent':>6}{'entered':>9}{'good':>6}{'stored':>8}")
    wrong = 0
    for kind in chosen.kinds:
        for shape in chosen.shapes:
            with tempfile.TemporaryDirectory() as folder:
                found = count(kind, shape, Path(folder))
            wrong += not found.right
            numbers = f"{found.runs:>5}{found.sent:>6}{found.entered:>9}{found.good:>6}{found.stored:>8}"
            print(f"{kind:<12}{shape:<10}{numbers}{'' if found.right else '  WRONG'}", flush=True)
    return min(1, wrong)


if __name__ == "__main__":
    raise SystemExit(main())
