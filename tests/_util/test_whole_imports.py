"""An import ends before Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence

import pytest

from tvmerge._util.whole_imports import whole_imports
from tvmerge.cli.ending import ended_by_signals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of a command that was started by a shell, and later those of the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def import_under(signals: Sequence[signal.Signals], done: list[str]) -> None:
    """Get signals within an import, and note after each that the import goes on."""
    with whole_imports():
        for sent in signals:
            os.kill(os.getpid(), sent)
            done.append(sent.name)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_an_import_is_raised_once_the_import_has_ended(sent: signal.Signals) -> None:
    done: list[str] = []
    with ended_by_signals() as ending:
        with pytest.raises(KeyboardInterrupt):
            import_under([sent], done)
        assert ending.code == 128 + sent
    assert done == [sent.name]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_the_import_itself() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        import_under([signal.SIGINT, signal.SIGINT], done)
    assert done == ["SIGINT"]


def test_an_import_without_a_signal_and_one_in_a_thread_change_nothing() -> None:
    with whole_imports():
        pass
    handlers = []

    def imports() -> None:
        with whole_imports():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=imports)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler] == [signal.getsignal(signal.SIGINT)]
