"""Finds judges, benchmarks and prompts, the three folders of data that users can extend without code.

Searched in this order: the name as an explicit path; the `--assets` folder; the working directory; the files
bundled with tvmerge (in the wheel, or in the checkout of this file).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tvmerge._util.suggest import did_you_mean, meaning
from tvmerge.errors import AssetError

AssetKind = Literal["judges", "benchmarks", "prompts"]

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_root() -> Path:
    """Return the folder with the bundled `judges/`, `benchmarks/` and `prompts/`."""
    data = _PACKAGE / "_data"
    return data if data.is_dir() else _PACKAGE.parent


def bundled_demo_models() -> Path:
    """Return the folder with the demo models `base`, `tuned` and `target`."""
    data = _PACKAGE / "_data"
    return data / "demo" if data.is_dir() else _PACKAGE.parent / "examples" / "demo" / "models"


def find(kind: AssetKind, name: str, assets: Path | None = None) -> Path:
    """Return the path of the judge file, benchmark folder or prompt file called `name`.

    Args:
        kind: Which of the three folders to look in.
        name: A name (`rules`, `demo`), with or without the file's suffix, or a path.
        assets: A folder with the user's `judges/`, `benchmarks/` and `prompts/`.

    Raises:
        AssetError: Nothing has that name; the message lists the folders searched and the known names.
    """
    if (found := _find(kind, name, assets)) is not None:
        return found
    places = ", ".join(str(root / kind) for root in _roots(assets))
    known = sorted(names(kind, assets))
    unknown = f"unknown {kind.removesuffix('s')} '{name}'"
    cloned = _in_fastchat(kind, name)
    if kind == "benchmarks" and not cloned and (elsewhere := _ELSEWHERE.get(_underscored(name))):
        raise AssetError(f"{unknown}: {elsewhere}")
    unknown += meaning(" or ".join(cloned)) if cloned else did_you_mean(name, known)
    raise AssetError(
        f"{unknown}: not a path, and not in {places}; known: {', '.join(known) or 'none'}{_BY_PATH[kind]}"
    )


def is_there(kind: AssetKind, name: str, assets: Path | None = None) -> bool:
    """Return whether an asset called `name` exists; see `find`."""
    return _find(kind, name, assets) is not None


def names(kind: AssetKind, assets: Path | None = None) -> dict[str, Path]:
    """Return all assets of a kind by name; the folder searched first takes precedence."""
    found: dict[str, Path] = {}
    for root in _roots(assets):
        folder = root / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if _is_asset(kind, path):
                found.setdefault(path.name.removesuffix(_SUFFIX[kind]), path)
    return found


_SUFFIX: dict[AssetKind, str] = {"judges": ".toml", "benchmarks": "", "prompts": ".jsonl"}


_FASTCHAT = "fastchat/llm_judge/data"
"""FastChat's folder of benchmarks."""

_BY_PATH: dict[AssetKind, str] = {
    "judges": "",
    "benchmarks": "; any other folder with a question.jsonl is named by its path",
    "prompts": "; any other file is named by its path",
}


_NOT_SHIPPED = (
    "its questions do not come with tvmerge; name the folder that has its question.jsonl, such as "
    f"--bench-name FastChat/{_FASTCHAT}/"
)

_ELSEWHERE = {
    "mt_bench": f"{_NOT_SHIPPED}mt_bench of a clone of github.com/lm-sys/FastChat",
    "vicuna_bench": f"{_NOT_SHIPPED}vicuna_bench of a clone of github.com/lm-sys/FastChat",
    "japanese_mt_bench": (
        f"{_NOT_SHIPPED}japanese_mt_bench of a clone of github.com/Stability-AI/FastChat, branch jp-stable"
    ),
    "jglue": "JGLUE is not a folder of questions: use --jglue-tasks or --jglue-data instead",
}
"""Where well-known benchmarks are that do not come with tvmerge."""


def _underscored(name: str) -> str:
    return name.lower().replace("-", "_")


def _in_fastchat(kind: AssetKind, name: str) -> list[str]:
    """Return the benchmark in FastChat's folder, which is not searched, since `data/` may be anything."""
    folders = (_FASTCHAT, f"FastChat/{_FASTCHAT}", "data")
    places = (Path(folder) / own for folder in folders for own in dict.fromkeys((name, _underscored(name))))
    return [str(place) for place in places if kind == "benchmarks" and _is_asset(kind, place)]


def _find(kind: AssetKind, name: str, assets: Path | None) -> Path | None:
    explicit = Path(name)
    # An existing path of a judge or prompt file is used, whatever its suffix.
    if _is_asset(kind, explicit) or (kind != "benchmarks" and explicit.is_file()):
        return explicit
    candidates = (root / kind / own for root in _roots(assets) for own in (f"{name}{_SUFFIX[kind]}", name))
    return next((candidate for candidate in candidates if _is_asset(kind, candidate)), None)


def _is_asset(kind: AssetKind, path: Path) -> bool:
    # Files are checked, not folders, since an uninstall can leave an empty folder.
    if kind == "benchmarks":
        return (path / "question.jsonl").is_file()
    return path.suffix == _SUFFIX[kind] and path.is_file()


def _roots(assets: Path | None) -> Iterator[Path]:
    if assets is not None:
        yield assets
    here = Path.cwd()
    yield here
    if bundled_root() != here:
        yield bundled_root()
