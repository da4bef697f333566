"""Has runs suffer what machines do to them, and then has them go on until they are done.

    python -m perf.crash.faults [signals disk files descriptors memory folders clock] [--runs N] [--seed 0]

The studies are those of `python -m perf.crash`.

signals: SIGINT, SIGTERM and SIGHUP, one each, in all stages. The run ends with 130, 143 or 129.
disk: a disk that is too small, or full from some stage on, made larger before the run goes on (a tmpfs: needs
root).
files: files cannot grow beyond a random size (RLIMIT_FSIZE).
descriptors: 16 to 128 files and connections at once (RLIMIT_NOFILE).
memory: 0 to 256 MiB of address space beyond what Python and torch take (RLIMIT_AS).
folders: everything is write-protected after a run was interrupted (a read-only mount: needs root).
clock: the wall clock jumps an hour forward and back, again and again.

Whatever happens, a run that cannot go on ends with one line of error and code 2, all that was sent to the
judge is in the ledger, and all of its replies are in the cache: sent = entered = stored. Then the same
command ends the study like one that nobody disturbed. What this machine cannot do is skipped with a line.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from perf.crash import limits
from perf.crash.child import surroundings
from perf.crash.ended import Account, account, read_ended
from perf.crash.references import References, Whole
from perf.crash.stages import STAGES, START
from perf.crash.study import DEADLINE, SETTINGS, Study, draw
from tests.cli.slowness import SlowJudge
from tvmerge.cli.app import BAD_INPUT

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""The exit code of a run that a signal ends."""

_LIMITED = ("--judge-rpd", "100000", "--judge-rpm", "100000", "--judge-tpm", "100000000")
"""Limits that are never reached, so that times are looked at."""

_ROOM = 256 * limits.MIB
"""The size of a disk that is large enough."""


@dataclass(frozen=True)
class Suffered:
    """What a run suffered.

    Attributes:
        what: In words.
        code: Its exit code.
        allowed: The exit codes that are right.
    """

    what: str
    code: int | None
    allowed: tuple[int, ...]


Fault = Callable[[Study, Whole, Random, int], AbstractContextManager[Suffered]]
"""Has a study suffer, and yields to let it go on; given how it ends undisturbed, and its number."""


@contextmanager
def signals(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Send one signal in a stage."""
    turn, place = divmod(number, 1 + len(STAGES))
    stage = (START, *STAGES)[place]
    sent = tuple(SIGNALS)[(turn + place) % len(SIGNALS)]
    hit = study.strike(draw(rng, stage, whole.timeline, sent))
    if hit is None:
        yield Suffered(f"{sent.name}, which came too late", 0, (0,))
        return
    # Before its handlers are there, a process just ends; after its last file is written, it has ended well.
    allowed = (SIGNALS[sent], *((-sent, 1) if stage == START else ()), *((0,) if hit.is_late else ()))
    yield Suffered(f"{sent.name} while {hit.stage}", hit.code, allowed)


@contextmanager
def disk(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Give it a disk that is too small, or that is full from some stage on, until it has ended."""
    size = rng.randrange(limits.MIB, whole.ended.size)
    stage = tuple(STAGES)[7 * number % len(STAGES)]
    with limits.small_disk(study.folder, _ROOM) as small:
        if number % 4:
            what = f"a disk that is full from {stage} on"
            code = study.disturb(draw(rng, stage, whole.timeline), small.fill)
        else:
            what = f"a disk of {size / limits.MIB:.1f} MiB"
            small.resize(size)
            code = study.finish()
        small.resize(_ROOM)
        yield Suffered(what, code, (0, 2))


@contextmanager
def files(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Let no file grow beyond some size."""
    size = (1, 16, 64, 256, 1024, 3072)[number % 6] * 1024 + rng.randrange(1024)
    code = study.finish(partial(limits.limit_files, size))
    yield Suffered(f"files of {size} bytes at most", code, (0, 2))


@contextmanager
def descriptors(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Let it open few files."""
    count = (128, 64, 48, 40, 32, 28, 24, 16)[number % 8]
    code = study.finish(partial(limits.limit_descriptors, count))
    yield Suffered(f"{count} descriptors", code, (0, 2))


@contextmanager
def memory(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Give it little memory."""
    more = (0, 16, 64, 128, 192, 256, 384, 512)[number % 8] * limits.MIB
    code = study.finish(partial(limits.limit_memory, more))
    yield Suffered(f"{more >> 20} MiB more", code, (0, 2))


@contextmanager
def folders(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Interrupt it, and protect all of its files when it is to go on."""
    stage = ("judging", "telling", "writing the report")[number % 3]
    with limits.small_disk(study.folder, _ROOM) as small:
        study.strike(draw(rng, stage, whole.timeline, signal.SIGTERM))
        small.protect(on=True)
        code = study.finish()
        small.protect(on=False)
        yield Suffered(f"write-protected folders, after an end while {stage}", code, (2,))


@contextmanager
def clock(study: Study, whole: Whole, rng: Random, number: int) -> Iterator[Suffered]:
    """Set its clock back and forward."""
    seconds = (3600.0, -3600.0, 86400.0)[number % 3]
    with study.log_file.open("a", encoding="utf-8") as log:
        done = subprocess.run(
            [sys.executable, "-m", "perf.crash.clock", str(seconds), *study.argv, *_LIMITED],
            env={**os.environ, **surroundings(study.folder)},
            stdout=log,
            stderr=log,
            timeout=DEADLINE,
            check=False,
        )
    yield Suffered(f"a clock that jumps {seconds:g} s", done.returncode, (0,))


FAULTS: Mapping[str, tuple[Fault, Callable[[], str]]] = {
    "signals": (signals, str),
    "disk": (disk, limits.why_no_disk),
    "files": (files, str),
    "descriptors": (descriptors, str),
    "memory": (memory, limits.why_no_address_space),
    "folders": (folders, limits.why_no_disk),
    "clock": (clock, str),
}
"""Each fault, and what says why this machine cannot do it (an empty text if it can)."""


@dataclass(frozen=True)
class Done:
    """A run that suffered and went on; `wrong` says what is not as it should be."""

    suffered: Suffered
    wrong: Sequence[str]
    requests: Account | None

    def __str__(self) -> str:
        verdict = "; ".join(self.wrong).upper() or "ended the same"
        return f"{self.suffered.what}: code {self.suffered.code}; {self.requests}; {verdict}"


def play(references: References, name: str, number: int, seed: int) -> Done:
    """Have one run suffer, and then go on."""
    setting = SETTINGS[number % len(SETTINGS)]
    whole, fault = references.whole(setting), FAULTS[name][0]
    with SlowJudge(seed=seed + number) as judge:
        study = references.study(f"{name} {number}", setting, judge)
        with fault(study, whole, Random(f"{seed} {name} {number}"), number) as suffered:
            wrong = [*_told_badly(study, suffered)]
            code = study.finish()
            if code != 0:
                return Done(suffered, [*wrong, f"then code {code}: {study.log[-400:]}"], None)
            ended = read_ended(study)
        requests = account([], ended.books)
        wrong += [] if requests.balanced else ["requests that are not accounted for"]
        return Done(suffered, [*wrong, *ended.differs_from(whole.ended)], requests)


def _told_badly(study: Study, suffered: Suffered) -> Iterator[str]:
    """Yield what is wrong with how a run has ended."""
    lines = study.log.splitlines()
    if suffered.code not in suffered.allowed:
        yield f"code {suffered.code}: {' '.join(lines[-3:])}"
    elif suffered.code == BAD_INPUT and len([line for line in lines if line.startswith("error: ")]) != 1:
        yield f"no line of error: {' '.join(lines[-3:])}"
    if "Traceback" in study.log:
        yield f"a traceback: {' '.join(lines[-3:])}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the campaigns; the exit code is 1 if a study ended otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], help="which, by default all")
    parser.add_argument("--runs", type=int, default=12, help="runs of each")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    # Commands inherit which signals are ignored, as under nohup or in the background, but no handlers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    done: dict[str, list[Done]] = {}
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        references = References(Path(folder), args.seed)
        for name in args.faults or FAULTS:
            if reason := FAULTS[name][1]():
                print(f"{name}: skipped, {reason}")
                continue
            for number in range(args.runs):
                done.setdefault(name, []).append(play(references, name, number, args.seed))
                print(f"{name} {number}: {done[name][-1]}", flush=True)
    for name, runs in done.items():
        print(f"{name}: {_total(runs)}")
    raise SystemExit(1 if any(run.wrong for runs in done.values() for run in runs) else 0)


def _total(runs: Sequence[Done]) -> str:
    codes = Counter(run.suffered.code for run in runs)
    books = [run.requests for run in runs if run.requests is not None]
    return (
        f"{len(runs)} runs, codes {', '.join(f'{code} x {count}' for code, count in codes.items())}; "
        f"{sum(not run.wrong for run in runs)} ended the same; sent {sum(b.sent for b in books)}, entered "
        f"{sum(b.entered for b in books)}, stored {sum(b.stored for b in books)}"
    )


if __name__ == "__main__":
    main()
