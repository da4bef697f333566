"""Signals that end a command from outside."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence

import click
import pytest

pytest.importorskip("pty", reason="signals are those of POSIX systems")

import pty

from tvmerge.cli import app, ending
from tvmerge.cli.ending import ended_by_signals, resumable

TERM, HUP = signal.SIGTERM, signal.SIGHUP
CODES = {signal.SIGINT: 130, TERM: 143, HUP: 129}


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of a command that was started by a shell, and later those of the tests."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in CODES}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def paid_work(sent: Sequence[signal.Signals], done: list[str]) -> None:
    """Get signals, and finish what was begun, as the requests in flight are."""
    try:
        for number in sent:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        done.append("stored")


@pytest.mark.parametrize(
    ("sent", "ignored"),
    [(signal.SIGINT, False), *((sent, ignored) for sent in (TERM, HUP) for ignored in (False, True))],
)
def test_a_signal_ends_a_command_once_what_was_begun_is_done(
    sent: signal.Signals, ignored: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where Ctrl-C is ignored, as in the background of a script."""
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    done: list[str] = []

    @click.command()
    def work() -> None:
        with resumable():
            asyncio.run(paid_work([sent], done))

    monkeypatch.setattr(app, "app", work)
    assert app.run([]) == CODES[sent]
    assert done == ["stored"]
    assert "run the same command to resume" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == (signal.SIG_IGN if ignored else signal.default_int_handler)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("sent", [(TERM, HUP), (HUP, HUP), (TERM, TERM), (HUP, TERM)])
def test_further_signals_of_the_same_end_do_not_hasten_it(
    sent: Sequence[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of systemd, which sends SIGTERM and SIGHUP, and of a terminal that is closed."""
    done: list[str] = []

    async def work() -> None:
        first, *further = sent
        try:
            os.kill(os.getpid(), first)
            await asyncio.sleep(60)
        finally:
            for number in further:
                os.kill(os.getpid(), number)
                await asyncio.sleep(0)
            done.append("stored")

    monkeypatch.setattr(app, "app", click.Command("work", callback=lambda: asyncio.run(work())))
    assert app.run([]) == CODES[sent[-1]]
    assert done == ["stored"]


def test_a_later_sigterm_and_a_second_ctrl_c_do_hasten_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "TOGETHER", 0.0)
    for number in (TERM, signal.SIGINT):
        with ended_by_signals():
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    os.kill(os.getpid(), number)


@pytest.mark.parametrize("argv", [["optimize", "--dry-run"], ["demo", "--dry-run"]])
def test_where_nothing_is_saved_an_interruption_does_not_say_so(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tvmerge.dry_run.plan.plan_run", interrupted)
    models = [f"--{part}-model=m" for part in ("target", "base", "tuned")]
    assert app.run([*argv, "--bench-name=demo", "--judge=rules", *models]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_what_is_printed_after_the_terminal_is_gone_fails_nothing() -> None:
    master, slave = pty.openpty()
    kept = os.dup(2)
    os.dup2(slave, 2)
    try:
        with ended_by_signals():
            os.close(slave)
            os.close(master)
            with pytest.raises(OSError, match="Input/output error"):
                os.write(2, b"lost")
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGHUP)
            assert os.write(2, b"not shown")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_a_thread_that_is_not_the_main_one_gets_no_signals() -> None:
    async def inside() -> int:
        def run() -> int:
            with ended_by_signals() as ending:
                return ending.code

        return await asyncio.to_thread(run)

    assert asyncio.run(inside()) == 130
