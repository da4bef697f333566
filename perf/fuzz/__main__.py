"""Gives parsers random bytes, led by what they reach in the code, and lists what breaks them.

    python -m perf.fuzz replies --seconds 60
    python -m perf.fuzz headers --seconds 60

replies: what judges' servers send: bodies, headers and statuses in three protocols, and texts of replies in
every format of a rating.
headers: files of models: headers of safetensors files, indexes of shards, configurations, pickles of tensors.

Input comes from atheris (`make fuzz` installs it), which changes bytes until they reach other lines. An error
that is not documented, a wrong result or more than 5 seconds for an input is a finding, which is written to
--findings, and the exit code is 1. --corpus keeps the inputs that reached something new for the next time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from perf.fuzz.campaign import Campaign

TARGETS = ("replies", "headers")
LONGEST = 4096
"""Bytes of an input."""

SLOWEST = 5
"""Seconds that an input may take."""


def main(argv: list[str]) -> int:
    """Run a campaign; atheris ends the process."""
    args = _parser().parse_args(argv)
    try:
        import atheris
    except ImportError:
        print("error: atheris is not installed; `make fuzz` does it, for Linux on x86-64", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["tvmerge"], enable_loader_override=False):
        target = importlib.import_module(f"perf.fuzz.{args.target}")
    check: Callable[[bytes], None] = target.check
    seeds: tuple[bytes, ...] = target.SEEDS
    with tempfile.TemporaryDirectory() as temporary:
        corpus = args.corpus or Path(temporary)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (corpus / f"seed{number}").write_bytes(seed)
        args.findings.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(check, args.seconds, args.findings)
        limits = (f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-artifact_prefix={args.findings}/")
        atheris.Setup([sys.argv[0], *limits, "-verbosity=0", str(corpus)], campaign.run)
        atheris.Fuzz()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m perf.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it runs (60)")
    parser.add_argument(
        "--findings", type=Path, default=Path("findings"), help="folder of bad inputs (findings)"
    )
    parser.add_argument("--corpus", type=Path, help="folder of inputs to begin with and to keep")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
