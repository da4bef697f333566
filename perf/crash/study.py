"""A small study that is broken off in a stage, and goes on until it is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from perf.crash.books import Books, read_books
from perf.crash.child import run_watched, surroundings
from perf.crash.stages import STAGES, START
from tests.cli.killing import Setting, flags
from tests.cli.slowness import SlowJudge

DEADLINE = 900.0
"""Seconds after which a run counts as hanging."""

_UPLOAD = ("--push-to-hub", "owner/name")
"""What has processes upload that do not know the real hub."""

_LINGER = 0.3
"""Seconds in which the judge reads what a killed process has sent."""

SETTINGS = (
    Setting("auto", window=2, trials=6, questions=16),
    Setting("TPE", window=2, trials=6, questions=16),
)
"""The studies: blocks of four questions, and whole trials with races."""


@dataclass(frozen=True)
class Strike:
    """When a run is broken off, and how.

    Attributes:
        stage: In this stage.
        occurrence: When the process enters it for this time, from 1.
        seconds: So much later.
        sent: The signal.
    """

    stage: str
    occurrence: int
    seconds: float
    sent: signal.Signals = signal.SIGKILL


@dataclass(frozen=True)
class Hit:
    """How things stood when a run was broken off.

    Attributes:
        stage: The stage that was meant if the process was in it, or else the last that it had entered.
        code: The exit code.
        in_flight: Requests that the judge had not answered.
        books: The books after the end of the process.
        arrived: Replies that the SDK had handed to the process, where that was counted.
    """

    stage: str
    code: int | None
    in_flight: int
    books: Books
    arrived: int = 0

    @property
    def is_late(self) -> bool:
        """Whether the process had done its work."""
        return self.stage == tuple(STAGES)[-1]


@dataclass
class Timeline:
    """The stages of a process, as far as it told.

    Attributes:
        entered: How often it entered each.
        seconds: How long it was in them, each time.
    """

    entered: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    _open: list[tuple[str, float]] = field(default_factory=list)

    def add(self, message: bytes) -> str:
        """Add a message; return the stage if it was entered, or else an empty text."""
        sign, name = message[:1], message[1:].decode()
        now = time.monotonic()
        if sign == b"+":
            self.entered[name] += 1
            self._open.append((name, now))
            return name
        index = next(i for i, (known, _) in enumerate(self._open) if known == name)
        self.seconds.setdefault(name, []).append(now - self._open.pop(index)[1])
        return ""

    def stage(self, meant: str) -> str:
        """Return the stage that was meant if the process is in it, or else the last that it entered."""
        names = [name for name, _ in self._open]
        return meant if meant in names or not names else names[-1]


@dataclass
class Study:
    """A study in a folder of its own, and the judge that it asks."""

    folder: Path
    bench: Path
    setting: Setting
    judge: SlowJudge
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def argv(self) -> list[str]:
        """The command, which uploads nothing."""
        return flags(self.folder, self.bench, self.setting, self.judge.base_url)

    def start(self, prepare: Callable[[], object] | None = None) -> tuple[BaseProcess, Connection]:
        """Start the command in a process that tells its stages.

        Args:
            prepare: See `run_watched`.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([run_watched.__module__])
        told, telling = context.Pipe(duplex=False)
        args = ([*self.argv, *_UPLOAD], self.folder, self.log_file, telling, prepare)
        process = context.Process(target=run_watched, args=args)
        process.start()
        telling.close()
        self.timeline = Timeline()
        return process, told

    def strike(self, strike: Strike) -> Hit | None:
        """Run the command and break it off; None if it ended before."""
        if strike.stage == START:
            return self._strike_cold(strike)
        process, told = self.start()
        try:
            if not self._reach(told, strike):
                process.join(DEADLINE)
                return None
            time.sleep(strike.seconds)
            in_flight = self.judge.in_flight
            if not process.is_alive():
                return None
            assert process.pid is not None
            os.kill(process.pid, strike.sent)
            code = self._await_end(process, told)
        finally:
            process.kill()
            told.close()
        return Hit(self.timeline.stage(strike.stage), code, in_flight, self.books())

    def disturb(self, strike: Strike, disturbance: Callable[[], object]) -> int | None:
        """Run the command, and do something at the moment of a strike; return the exit code."""
        process, told = self.start()
        if self._reach(told, strike):
            time.sleep(strike.seconds)
            disturbance()
        code = self._await_end(process, told)
        process.kill()
        told.close()
        return code

    def finish(self, prepare: Callable[[], object] | None = None) -> int | None:
        """Run the command to its end; return its exit code, None if it hangs."""
        process, told = self.start(prepare)
        code = self._await_end(process, told)
        process.kill()
        told.close()
        return code

    def books(self) -> Books:
        """Return the books, once the judge has read all that was sent."""
        time.sleep(_LINGER)
        while self.judge.in_flight:
            time.sleep(0.01)
        return read_books(self.folder, self.judge)

    @property
    def log_file(self) -> Path:
        """The file of what its processes print, beside its folder, which may be full."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def log(self) -> str:
        """What its processes have printed."""
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    def _reach(self, told: Connection, strike: Strike) -> bool:
        """Wait for the moment of a strike; return whether it came."""
        while told.poll(DEADLINE):
            try:
                entered = self.timeline.add(told.recv_bytes())
            except EOFError:
                return False
            if entered == strike.stage and self.timeline.entered[entered] == strike.occurrence:
                return True
        return False

    def _await_end(self, process: BaseProcess, told: Connection) -> int | None:
        """Follow the stages until the process has ended; return its exit code."""
        while told.poll(DEADLINE):
            try:
                self.timeline.add(told.recv_bytes())
            except EOFError:
                break
        process.join(10.0)
        return process.exitcode

    def _strike_cold(self, strike: Strike) -> Hit | None:
        """Break off a process as the shell starts it, before or while it imports."""
        with self.log_file.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tvmerge", *self.argv],
                env={**os.environ, **surroundings(self.folder)},
                stdout=log,
                stderr=log,
            )
            try:
                process.wait(strike.seconds)
            except subprocess.TimeoutExpired:
                in_flight = self.judge.in_flight
                process.send_signal(strike.sent)
                return Hit(START, process.wait(DEADLINE), in_flight, self.books())
        return None


COLD_SECONDS = 5.0
"""About how long a process imports before it asks for the first time."""


def draw(rng: Random, stage: str, whole: Timeline, sent: signal.Signals = signal.SIGKILL) -> Strike:
    """Draw a moment of a stage, from the stages of a study that nobody broke off.

    Only the first third of the occurrences, since a study that goes on has fewer.
    """
    if stage == START:
        return Strike(START, 1, rng.uniform(0.05, COLD_SECONDS), sent)
    occurrence = rng.randint(1, max(1, whole.entered[stage] // 3))
    return Strike(stage, occurrence, rng.uniform(0, rng.choice(whole.seconds[stage])), sent)


def in_order(stages: Sequence[str]) -> list[str]:
    """Return stages in the order of a run."""
    order = (START, *STAGES)
    return sorted(stages, key=order.index)
