"""Classifies the files of a model folder by their names, so that all files a model needs are copied.

The files that models need cannot be listed, since new models have new files. So those that do not belong in
another model are listed. Patterns are those of `fnmatch` for the path within the folder, whose `*` also
matches `/`. The hub's client matches them in the same way, so the same files are downloaded, digested and
copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from tvmerge._util.parsing import parse_json
from tvmerge._util.real_path import real_path
from tvmerge._util.regular import read_utf8
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import ADAPTER_CONFIG, CONFIG
from tvmerge.merging.export.folders import MARKER
from tvmerge.merging.export.reproduce import SETTINGS
from tvmerge.merging.remarks import LISTING

WEIGHTS = (
    *("*.safetensors", "*.pt", "*.pth", "*.ckpt", "*.ckpt.*", "*.distcp"),
    # All *.bin except vocabularies, which start with `tok` or `voc`; fnmatch has no "except".
    *("[!tv]*.bin", "t[!o]*.bin", "to[!k]*.bin", "v[!o]*.bin", "vo[!c]*.bin"),
    *(
        "*.gguf",
        "*.ggml",
        "*.llamafile",
        "*.h5",
        "*.keras",
        "*.msgpack",
        "*.npz",
        "*.pb",
        "*.ot",
        "*.pdparams",
    ),
    *("*.onnx", "*.onnx_data*", "*.onnx.data", "*.tflite", "*.pte", "*.engine", "*.nemo"),
    *("*.mlmodel", "*.mlpackage/*", "openvino*.xml"),
    *("original/*", "onnx/*", "openvino/*", "metal/*", "coreml/*", "gguf/*"),
)
"""Tensors in any format, and folders with the same model in another format."""

INDICES = ("*.index.json", "*.index.*.json")
"""Indexes of the tensors in each file."""

CODE = (
    *("*.py", "*.pyc", "*.pyx", "*.so", "*.so.*", "*.dll", "*.dylib", "*.exe", "*.jar", "*.whl"),
    *("*.sh", "*.bat", "*.ps1", "*.c", "*.cpp", "*.cu", "*.pkl", "*.pickle"),
)
"""Executable files, including pickles, which belong to a model only if its code is trusted."""

TRAINING = (
    *("checkpoint-*/*", "global_step*/*", "runs/*", "logs/*", "wandb/*", "mlruns/*", "tensorboard/*"),
    *("*events.out.tfevents*", "*.log", "nohup.out", "latest", "zero_to_fp32.py", "rng_state*"),
    *("trainer_state.json", "trainer_log.jsonl", "training_args.*", "*_results.json", "training_*.png"),
    *("*.db", "*.db-*", "*.sqlite*"),
)
"""Files of training and evaluation."""

DATA = ("*.zip", "*.tar", "*.tar.*", "*.tgz", "*.7z", "*.rar", "*.parquet", "*.arrow", "*.lance")
"""Archives and data sets, which can be large and are not read when a model is loaded."""

HIDDEN = (".*", "*/.*", "__pycache__/*", "*/__pycache__/*", "*~", "*.incomplete", "*.lock")
"""Files of git, the hub's client and editors."""

REPLACED = ("README*", "*/README*", MARKER, SETTINGS, LISTING, "mergekit*.yml")
"""Files that describe how the model was made, which a merged model has its own versions of."""

PAGES = (
    *("LICEN[CS]E*", "*/LICEN[CS]E*", "NOTICE*", "COPYING*", "CITATION*", "*.md"),
    *("*.pdf", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp", "*.mp4"),
)
"""Documents for readers, which are copied but do not affect answers."""

CONFIGURATIONS = (
    *("tokenizer_config.json", "processor_config.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json"),
)
"""Files other than `config.json` that can name code."""

LARGE = 10**9
"""Size in bytes above which a file of no known kind is considered data."""

Kind = Literal["companion", "page", "weights", "code", "training", "data", "hidden", "replaced", "model"]

_KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("hidden", HIDDEN),
    ("replaced", REPLACED),
    ("training", TRAINING),
    ("weights", (*WEIGHTS, *INDICES)),
    ("code", CODE),
    ("data", DATA),
    ("page", PAGES),
)


def kind_of(path: str) -> Kind:
    """Return the kind of a file; `path` is relative to the model's folder, with `/`."""
    return next((kind for kind, patterns in _KINDS if _matches(path, patterns)), "companion")


def companions(folder: Path, *, code: bool) -> list[Path]:
    """Return the files that a merged model copies from the model in `folder`, sorted.

    Args:
        folder: A model's folder; its files may be links, as in the hub's cache.
        code: Whether to include code.

    Raises:
        CheckpointError: A file is a broken link.
    """
    return [path for path, kind in _contents(folder) if kind in _wanted(code) | {"page"}]


def deciding(folder: Path, *, code: bool) -> list[Path]:
    """Return the `companions` that can affect answers, which are all except documents for readers."""
    return [path for path, kind in _contents(folder) if kind in _wanted(code)]


def left_out(folder: Path, weights: Iterable[Path], *, code: bool) -> dict[str, list[str]]:
    """Return the files that are not copied but could be missed, sorted, by reason.

    Args:
        folder: A model's folder.
        weights: The files that are merged.
        code: Whether code is copied.
    """
    merged = set(weights)
    reasons: dict[Kind, str] = {
        "weights": "weights that were not merged",
        "model": "a model of its own",
        "data": f"archives, and files of more than {LARGE // 10**9} GB",
    }
    if not code:
        reasons["code"] = "code, which is copied with --trust-remote-code"
    found: dict[str, list[str]] = {reason: [] for reason in reasons.values()}
    for path, kind in _contents(folder):
        if (reason := reasons.get(kind)) and path not in merged and ".index." not in path.name:
            found[reason].append(path.relative_to(folder).as_posix())
    if not code:
        named = found[reasons["code"]]
        named += sorted(_named_code(folder) - set(named))
    return {reason: names for reason, names in found.items() if names}


def hub_ignores(*, code: bool) -> list[str]:
    """Return the patterns of files not downloaded before the weights; their index is, since it lists them."""
    return [*WEIGHTS, *TRAINING, *HIDDEN, *DATA, *(() if code else CODE)]


def stated_in(path: Path) -> dict[str, object]:
    """Return the content of a configuration file; empty if it does not exist or cannot be read."""
    try:
        data = parse_json(read_utf8(path))
    except (OSError, ValueError):
        return {}  # reported where the file is needed
    return data if isinstance(data, dict) else {}


def _wanted(code: bool) -> set[Kind]:
    return {"companion", "code"} if code else {"companion"}


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _contents(folder: Path) -> list[tuple[Path, Kind]]:
    """Yield every relevant file below `folder`, and every nested model's folder as one entry."""
    return sorted(_walk(folder, folder, {real_path(folder)}))


def _walk(root: Path, folder: Path, seen: set[Path]) -> Iterator[tuple[Path, Kind]]:
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        if not entry.is_dir():
            kind = kind_of(name)
            if kind in {"companion", "page"}:
                kind = _checked(path, kind)
            if kind not in {"hidden", "replaced", "training"}:
                yield path, kind
        elif kind_of(f"{name}/") not in {"hidden", "training"} and (real := real_path(path)) not in seen:
            if _is_model(path):
                yield path, "model"
            else:
                yield from _walk(root, path, seen | {real})


def _checked(path: Path, kind: Kind) -> Kind:
    if not path.exists():
        raise CheckpointError(f"{path}: is a link to a file that is not there; download the model again")
    if not path.is_file():
        return "hidden"  # a socket or a pipe
    return "data" if path.stat().st_size > LARGE else kind


def _is_model(folder: Path) -> bool:
    """Return whether a subfolder is another model: a base, an adapter or an earlier result."""
    if (folder / ADAPTER_CONFIG).is_file() or (folder / MARKER).is_file():
        return True
    return "model_type" in stated_in(folder / CONFIG)


def _named_code(folder: Path) -> set[str]:
    """Return the code files named in the model's configurations, whether or not they exist."""
    named: set[str] = set()
    for name in (CONFIG, *CONFIGURATIONS):
        classes = stated_in(folder / name).get("auto_map")
        for value in classes.values() if isinstance(classes, dict) else ():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, str) and "--" not in reference:  # else it is in another repository
                    named.add(f"{reference.rpartition('.')[0].replace('.', '/')}.py")
    return named
