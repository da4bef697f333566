"""What the files of a model folder are for, told by their names, so that all a model needs comes along.

Nobody can list what models need: each release brings files with names of its own. What is listed is what does
not belong into another model. Patterns are those of `fnmatch` over the path within the folder, whose `*` also
matches `/`; the hub's client reads them in the same way, so what is downloaded, digested and copied agrees.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import ADAPTER_CONFIG, CONFIG
from tvmerge.merging.export.folders import MARKER
from tvmerge.merging.export.reproduce import SETTINGS
from tvmerge.merging.remarks import LISTING

WEIGHTS = (
    *("*.safetensors", "*.pt", "*.pth", "*.ckpt", "*.ckpt.*", "*.distcp"),
    # All *.bin but vocabularies, whose names begin with `tok` or `voc`: fnmatch has no "except".
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
"""Tensors in any format, and folders that hold the same model in another format."""

INDICES = ("*.index.json", "*.index.*.json")
"""Which tensors are in which file."""

CODE = (
    *("*.py", "*.pyc", "*.pyx", "*.so", "*.so.*", "*.dll", "*.dylib", "*.exe", "*.jar", "*.whl"),
    *("*.sh", "*.bat", "*.ps1", "*.c", "*.cpp", "*.cu", "*.pkl", "*.pickle"),
)
"""What can be executed, pickles included: they belong to a model only where its code is trusted."""

TRAINING = (
    *("checkpoint-*/*", "global_step*/*", "runs/*", "logs/*", "wandb/*", "mlruns/*", "tensorboard/*"),
    *("*events.out.tfevents*", "*.log", "nohup.out", "latest", "zero_to_fp32.py", "rng_state*"),
    *("trainer_state.json", "trainer_log.jsonl", "training_args.*", "*_results.json", "training_*.png"),
    *("*.db", "*.db-*", "*.sqlite*"),
)
"""Left over from training and evaluation."""

DATA = ("*.zip", "*.tar", "*.tar.*", "*.tgz", "*.7z", "*.rar", "*.parquet", "*.arrow", "*.lance")
"""Archives and data sets: nothing that loads a model opens them, and they can be large."""

HIDDEN = (".*", "*/.*", "__pycache__/*", "*/__pycache__/*", "*~", "*.incomplete", "*.lock")
"""Housekeeping of git, of the hub's client, of editors."""

REPLACED = ("README*", "*/README*", MARKER, SETTINGS, LISTING, "mergekit*.yml")
"""What says how the model came about, which a merged model has its own of."""

PAGES = (
    *("LICEN[CS]E*", "*/LICEN[CS]E*", "NOTICE*", "COPYING*", "CITATION*", "*.md"),
    *("*.pdf", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp", "*.mp4"),
)
"""Pages for people: they come along, and decide no answer."""

CONFIGURATIONS = (
    *("tokenizer_config.json", "processor_config.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json"),
)
"""Files besides `config.json` that can name code."""

LARGE = 10**9
"""Bytes; a larger file of none of these kinds is taken for data."""

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
    """What a file is for; `path` is relative to the model's folder, with `/`."""
    return next((kind for kind, patterns in _KINDS if _matches(path, patterns)), "companion")


def companions(folder: Path, *, code: bool) -> list[Path]:
    """The files that a merged model takes over from the model in `folder`, sorted.

    Args:
        folder: A model's folder; its files may be links, as in the hub's cache.
        code: Whether code is among them.

    Raises:
        CheckpointError: A file is a link that leads nowhere.
    """
    return [path for path, kind in _contents(folder) if kind in _wanted(code) | {"page"}]


def deciding(folder: Path, *, code: bool) -> list[Path]:
    """The `companions` that can decide what the model answers: all but pages for people."""
    return [path for path, kind in _contents(folder) if kind in _wanted(code)]


def left_out(folder: Path, weights: Iterable[Path], *, code: bool) -> dict[str, list[str]]:
    """What a merged model does not take over and could be missed: reason -> names, sorted.

    Args:
        folder: A model's folder.
        weights: The files that are merged.
        code: Whether code is taken over.
    """
    merged = set(weights)
    reasons: dict[Kind, str] = {
        "weights": "weights that were not merged",
        "model": "a model of its own",
        "data": f"archives, and files of more than {LARGE // 10**9} GB",
    }
    if not code:
        reasons["code"] = "code, which comes along with --trust-remote-code"
    found: dict[str, list[str]] = {reason: [] for reason in reasons.values()}
    for path, kind in _contents(folder):
        if (reason := reasons.get(kind)) and path not in merged and ".index." not in path.name:
            found[reason].append(path.relative_to(folder).as_posix())
    if not code:
        named = found[reasons["code"]]
        named += sorted(_named_code(folder) - set(named))
    return {reason: names for reason, names in found.items() if names}


def hub_ignores(*, code: bool) -> list[str]:
    """Patterns of what is not downloaded before the weights; their index is, since it says what they are."""
    return [*WEIGHTS, *TRAINING, *HIDDEN, *DATA, *(() if code else CODE)]


def stated_in(path: Path) -> dict[str, object]:
    """What a configuration of a model states; nothing where it is not there or cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # whoever needs the file says what is wrong with it
    return data if isinstance(data, dict) else {}


def _wanted(code: bool) -> set[Kind]:
    return {"companion", "code"} if code else {"companion"}


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _contents(folder: Path) -> list[tuple[Path, Kind]]:
    """Every file below `folder` that is worth a word, and every model of its own as one."""
    return sorted(_walk(folder, folder, {folder.resolve()}))


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
        elif kind_of(f"{name}/") not in {"hidden", "training"} and (real := path.resolve()) not in seen:
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
    """Whether a folder within a model's folder is another model's: a base, an adapter, an earlier result."""
    if (folder / ADAPTER_CONFIG).is_file() or (folder / MARKER).is_file():
        return True
    return "model_type" in stated_in(folder / CONFIG)


def _named_code(folder: Path) -> set[str]:
    """Files with code that the model's configurations name; whether they are there or not."""
    named: set[str] = set()
    for name in (CONFIG, *CONFIGURATIONS):
        classes = stated_in(folder / name).get("auto_map")
        for value in classes.values() if isinstance(classes, dict) else ():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, str) and "--" not in reference:  # else it is another repository's
                    named.add(f"{reference.rpartition('.')[0].replace('.', '/')}.py")
    return named
