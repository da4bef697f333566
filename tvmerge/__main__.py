"""`python -m tvmerge` and the `tvmerge` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from tvmerge.cli.app import run
    from tvmerge.cli.last_resort import LastResort

    with LastResort():
        sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
