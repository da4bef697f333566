"""The command group, and how errors become exit codes: 0 done, 2 bad input, 130 and the like interrupted."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import sys
from collections.abc import Sequence

import click

from tvmerge._util.printable import printable
from tvmerge._version import __version__
from tvmerge.cli.cache import cache
from tvmerge.cli.check import check
from tvmerge.cli.doctor import doctor
from tvmerge.cli.ending import ResumableInterrupt, ended_by_signals
from tvmerge.cli.exhausted import exhausted
from tvmerge.cli.importing import import_
from tvmerge.cli.judge import judge
from tvmerge.cli.listing import list_assets
from tvmerge.cli.merge import merge
from tvmerge.cli.optimize import demo, optimize
from tvmerge.cli.report import report
from tvmerge.cli.status import status
from tvmerge.errors import TvmergeError

BAD_INPUT = 2

_LONGEST = 5000
"""Characters of an error that are printed; what a file names may have any number."""


@click.group(
    context_settings={
        # The scripts tvmerge replaces spell their flags with underscores.
        "token_normalize_func": lambda token: token.replace("_", "-"),
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    }
)
@click.version_option(__version__, prog_name="tvmerge")
def app() -> None:
    """Find the best way to add a task vector to a language model.

    new = target + weight * (tuned - base), with one weight per layer, kind of parameter or tensor.
    """


for command in (optimize, demo, merge, check, judge, import_, list_assets, cache, status, report, doctor):
    app.add_command(command)


def run(argv: Sequence[str]) -> int:
    """Run a command and return its exit code; every expected failure prints one line to stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # do not fail if the console cannot encode a character
    with ended_by_signals() as ending:
        try:
            code = app.main(args=list(argv), prog_name="tvmerge", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            return 0
        except (KeyboardInterrupt, click.Abort) as error:
            return _interrupted(error, ending.code)
        except (click.ClickException, TvmergeError, sqlite3.Error, OSError) as error:
            return _fail(exhausted(error) or _message(error))
        except Exception as error:
            if (line := exhausted(error)) is None:
                raise
            return _fail(line)
        return code if isinstance(code, int) else 0


def _message(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, sqlite3.Error):
        return f"one of tvmerge's databases cannot be used: {error}"
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)


def _fail(message: str) -> int:
    line = " ".join(printable(message).split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    with contextlib.suppress(OSError):
        click.echo(f"error: {line}", err=True)
    return BAD_INPUT


def _interrupted(error: BaseException, code: int) -> int:
    resumable = isinstance(error.__cause__, ResumableInterrupt)  # click raises its own error from it
    more = "; all finished work is saved, run the same command to resume" if resumable else ""
    with contextlib.suppress(OSError):
        click.echo(f"interrupted{more}", err=True)
    return code
