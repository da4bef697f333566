"""Measures merging relative to the machine's memory bandwidth and to other tools.

    python -m perf.merging [--parameters 1.1e9] [--threads 2] [--mergekit PATH/TO/mergekit-yaml]

Writes three random bfloat16 Llama models (target, base, tuned) into a temporary folder. Each measurement runs
in a separate process:

* source -> live model: seconds, and bytes read and written per second relative to memcpy, measured
alternately, with
  numba's compiled code and with torch alone;
* the update loop of the script that tvmerge replaces, and how many times faster tvmerge is;
* disk -> disk: seconds, and how many times faster than mergekit-yaml, if it is installed;
* the peak of anonymous memory of both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.live import load_into, new_model
from tvmerge.merging.open import Merge, open_merge
from tvmerge.records import Recipe

_PARTS = ("target", "base", "tuned")
_REPEATS = 5
_COPIED = 2**30
"""Number of bytes copied to measure memcpy."""


def main() -> None:
    """Measure everything, or, as a child process, one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parameters", type=float, default=1.1e9, help="size of the model that is made")
    parser.add_argument("--threads", type=int, default=2, help="threads of memcpy and of torch")
    parser.add_argument("--mergekit", default=shutil.which("mergekit-yaml"), help="the mergekit-yaml program")
    parser.add_argument("--folder", type=Path, help="where the models are made; default: a temporary folder")
    parser.add_argument("--only", choices=sorted(_MEASUREMENTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(options.threads)
        print(json.dumps(_MEASUREMENTS[options.only](options.folder, options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        _report(Path(folder), options)


def _report(folder: Path, options: argparse.Namespace) -> None:
    parameters = _make_models(folder, int(options.parameters))
    moved = 4 * 2 * parameters  # three models read, one written, two bytes per element
    print(f"{parameters / 1e9:.2f} billion parameters, bfloat16, {options.threads} threads")
    live = _child(folder, options, "live")
    plain = _child(folder, options, "torch")
    loop = _child(folder, options, "loop")
    disk = _child(folder, options, "disk")
    print(f"memcpy                {live['memcpy'] / 1e9:6.1f} GB/s read and written")
    print(f"source -> live model  {live['seconds']:6.2f} s, {moved / live['seconds'] / 1e9:.1f} GB/s")
    print(f"  the first time      {live['first']:6.2f} s")
    print(f"  of memcpy's speed   {_share(moved, live):6.2f}   (wanted: at least 0.5)")
    print(f"  with torch alone    {_share(moved, plain):6.2f}")
    print(f"original's loop       {loop['seconds']:6.2f} s")
    print(f"  times faster        {loop['seconds'] / live['seconds']:6.1f}   (wanted: at least 3)")
    beyond = live["anonymous"] - 2 * parameters
    print(f"  beyond live model   {beyond / 1e6:6.0f} MB anonymous memory (wanted: at most 400)")
    print(f"disk -> disk          {disk['seconds']:6.2f} s")
    print(f"  peak                {disk['anonymous'] / 1e6:6.0f} MB anonymous memory (wanted: at most 400)")
    if options.mergekit:
        seconds = _mergekit(folder, options.mergekit)
        print(f"mergekit-yaml         {seconds:6.2f} s")
        print(f"  times faster        {seconds / disk['seconds']:6.1f}   (wanted: at least 3)")
    else:
        print("mergekit-yaml         not installed")


def _share(moved: int, live: dict[str, float]) -> float:
    """Return bytes per second relative to copying in the same process."""
    return moved / live["seconds"] / live["memcpy"]


def _make_models(folder: Path, parameters: int) -> int:
    from transformers import LlamaConfig

    config = LlamaConfig(
        hidden_size=2048,
        intermediate_size=5632,
        num_attention_heads=32,
        num_key_value_heads=4,
        vocab_size=32000,
        num_hidden_layers=1,
        max_position_embeddings=2048,
    )
    layer, rest = 44_044_288, 2 * 32000 * 2048 + 2048
    config.num_hidden_layers = max(1, round((parameters - rest) / layer))
    config.architectures = ["LlamaForCausalLM"]
    count = 0
    for seed, part in enumerate(_PARTS):
        torch.manual_seed(seed)
        model: Any = new_model(config.to_dict(), dtype=torch.bfloat16)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.02)
        model.save_pretrained(folder / part, max_shard_size="1GB")
        count = sum(parameter.numel() for parameter in model.parameters())
        del model
    return count


def _child(folder: Path, options: argparse.Namespace, only: str) -> dict[str, float]:
    command = [sys.executable, "-m", "perf.merging", "--only", only, "--folder", str(folder)]
    command += ["--threads", str(options.threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _live(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Load recipes into a live model, as each trial does, alternating with plain copying."""
    copy = _copier(options.threads)
    merge = _open(folder)
    with _anonymous_peak() as peak:
        model: Any = new_model(dict(merge.donor.config), dtype=torch.bfloat16)

        def load(index: int) -> float:
            return _seconds(lambda: load_into(model, merge.merger.merge(_recipe(merge, index))))

        first = load(0)
        pairs = [(load(1 + index), _seconds(copy)) for index in range(_REPEATS)]
    seconds, copying = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"seconds": seconds, "first": first, "memcpy": 2 * _COPIED / copying, "anonymous": peak()}


def _torch(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the same without numba."""
    absent: Any = None
    sys.modules["numba"] = absent
    return _live(folder, options)


def _copier(threads: int) -> Callable[[], None]:
    """Return a function that copies `_COPIED` bytes in threads, with memory that is already touched."""
    size = _COPIED // 2 // threads
    source = [torch.ones(size, dtype=torch.bfloat16) for _ in range(threads)]
    target = [torch.ones_like(tensor) for tensor in source]

    def copy() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for into, tensor in zip(target, source, strict=True):
                pool.submit(into.copy_, tensor)

    return copy


def _loop(folder: Path, _options: argparse.Namespace) -> dict[str, float]:
    """Run the original's loop of each trial: value + weight * vector in memory, tensor by tensor."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    target, base, tuned = (factory.from_pretrained(folder / part, dtype=torch.bfloat16) for part in _PARTS)
    vectors = {name: tensor - base.state_dict()[name] for name, tensor in tuned.state_dict().items()}
    del base, tuned

    @torch.no_grad()
    def update() -> None:
        for name, value in target.state_dict().items():
            value.copy_(value + (0.7 * vectors[name]))

    update()
    return {"seconds": statistics.median(_seconds(update) for _ in range(_REPEATS))}


def _disk(folder: Path, _options: argparse.Namespace) -> dict[str, float]:
    """Open three models and write the merged one, with digests of all files but unchecked values."""
    with _anonymous_peak() as peak:
        start = time.perf_counter()
        merge = _open(folder)
        write_merge(merge, folder / "merged", _recipe(merge, 0), overwrite=True)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "anonymous": peak()}


def _mergekit(folder: Path, program: str) -> float:
    """Run the same merge with mergekit, with equally exact rounding."""
    config = folder / "mergekit.yml"
    models = [
        f"  - model: {folder / part}\n    parameters: {{weight: {w}}}\n"
        for part, w in (("tuned", 0.7), ("base", -0.7))
    ]
    config.write_text(
        f"merge_method: task_arithmetic\nbase_model: {folder / 'target'}\nmodels:\n{''.join(models)}"
        "dtype: float32\nout_dtype: bfloat16\n"
    )
    command = [program, str(config), str(folder / "mergekit"), "--no-copy-tokenizer"]
    return _seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def _open(folder: Path) -> Merge:
    target, base, tuned = (str(folder / part) for part in _PARTS)
    return open_merge(target, base, tuned, "layer", verify=False)


def _recipe(merge: Merge, index: int) -> Recipe:
    return Recipe(dict.fromkeys(merge.group_names, 0.3 + 0.01 * index))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def _anonymous_peak() -> Iterator[Callable[[], float]]:
    """Measure the peak of the process's anonymous memory, in bytes above that at the start."""
    before = _anonymous()
    highest = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest.append(max(highest.pop(), _anonymous()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: float(highest[0] - before)
    finally:
        done.set()
        watcher.join()


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status; this needs Linux")


_MEASUREMENTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, float]]] = {
    "live": _live,
    "torch": _torch,
    "loop": _loop,
    "disk": _disk,
}

if __name__ == "__main__":
    main()
