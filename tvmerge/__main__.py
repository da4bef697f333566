"""`python -m tvmerge` and the `tvmerge` command."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys


def main() -> None:
    """Run the command line and end the process with its code."""

    def end() -> None:
        """End without taking apart what is loaded, which takes seconds with torch."""
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            return  # Python reports it
        with contextlib.suppress(OSError, AttributeError):
            sys.stderr.flush()
        os._exit(code)

    # Registered before anything else, so it is called after what libraries have registered.
    _open_closed_streams()
    code = 1
    atexit.register(end)
    code = exit_code()
    sys.exit(code)


def exit_code() -> int:
    """Run the command line and return its exit code, whatever happens."""
    try:
        from tvmerge.cli.app import run
        from tvmerge.cli.last_resort import LastResort

        with LastResort():
            return run(sys.argv[1:])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        return 130  # as in `run`, but while the command is imported, or a second time


def _open_closed_streams() -> None:
    """Open the standard streams that were closed before the start, as by `2>&-`.

    The next file that is opened, such as a database, would otherwise get the number of standard error, and
    what libraries write there would go into it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(handle, "r" if name == "stdin" else "w", encoding="utf-8"))


if __name__ == "__main__":
    main()
