"""Checks tvmerge on this machine's GPU: merged values, and every speed against what the hardware reaches.

    python -m perf.gpu [--device cuda:0] [--folder FOLDER]        or: make gpu-check

Creates three random models with the layers of Mistral-7B in a temporary folder: 3.5 billion parameters each
and 21 GB together, or fewer layers if the GPU is smaller. Takes less than 4 minutes. Needs torch, triton and
transformers, and bitsandbytes for the judge. Ratios are to copies measured in the same run. Exits with 1 if a
merged value is wrong, or if a figure misses its goal by more than a factor of 2.

`--device cpu --tiny` runs the same program on tiny models with a device in the host's memory: it prints the
figures without judging them, and checks the values.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch

from perf.gpu.check import Check
from perf.gpu.figures import FULL, TINY, Figure
from perf.gpu.models import CUDA


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny models")
    parser.add_argument(
        "--folder", type=Path, help="where the models are written; default: a temporary folder"
    )
    options = parser.parse_args(arguments)
    on_gpu = options.device != "cpu"
    if on_gpu and not CUDA.is_available():
        print("no GPU: torch sees none; --device cpu --tiny runs the same program without one")
        return 2
    print(_machine(options.device))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        check = Check(Path(folder), torch.device(options.device), TINY if options.tiny else FULL)
        parts = (check.kinds, check.make_models, check.copies, check.merges, check.answers, check.judge)
        for found in chain.from_iterable(part() for part in parts):
            print(found.line(judged=on_gpu) if isinstance(found, Figure) else found, flush=True)
            figures += [found] if isinstance(found, Figure) else []
    print(f"wrong values: {check.wrong:,} of {check.checked:,}")
    failed = [figure for figure in figures if on_gpu and figure.verdict == "FAILED"]
    return 1 if check.wrong or failed else 0


def _machine(device: str) -> str:
    triton = importlib.util.find_spec("triton")
    name = CUDA.get_device_name(device) if device != "cpu" else "no GPU: the figures mean nothing"
    return f"torch {torch.__version__}, triton {'found' if triton else 'NOT INSTALLED'}, {name}"


if __name__ == "__main__":
    sys.exit(main())
