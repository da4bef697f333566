"""Where judges, benchmarks and prompts are found: the three folders of data a user extends without code.

Searched in this order: the name as an explicit path; the `--assets` folder; the working directory; what
is bundled with tvmerge (inside the wheel, or the checkout that holds this file).
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from tvmerge.errors import AssetError

AssetKind = Literal["judges", "benchmarks", "prompts"]

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_root() -> Path:
    """Folder that holds the bundled `judges/`, `benchmarks/` and `prompts/`."""
    data = _PACKAGE / "_data"
    return data if data.is_dir() else _PACKAGE.parent


def bundled_demo_models() -> Path:
    """Folder that holds the demo models `base`, `tuned` and `target`."""
    data = _PACKAGE / "_data"
    return data / "demo" if data.is_dir() else _PACKAGE.parent / "examples" / "demo" / "models"


def find(kind: AssetKind, name: str, assets: Path | None = None) -> Path:
    """Path of the judge file, benchmark folder or prompt file called `name`.

    Args:
        kind: Which of the three folders to look in.
        name: A name (`rules`, `demo`), with or without the file's suffix, or a path.
        assets: A folder of the user's with `judges/`, `benchmarks/`, `prompts/` inside.

    Raises:
        AssetError: Nothing has that name; lists the places searched and the names known.
    """
    if (found := _find(kind, name, assets)) is not None:
        return found
    places = ", ".join(str(root / kind) for root in _roots(assets))
    known = sorted(names(kind, assets))
    meant = [*get_close_matches(name, known, 1), *_in_fastchat(kind, name)]
    unknown = f"unknown {kind.removesuffix('s')} '{name}'"
    if meant:
        unknown += f" (did you mean {' or '.join(meant)}?)"
    raise AssetError(
        f"{unknown}: not a path, and not in {places}; known: {', '.join(known) or 'none'}{_BY_PATH[kind]}"
    )


def is_there(kind: AssetKind, name: str, assets: Path | None = None) -> bool:
    """Whether something is called `name`; see `find`."""
    return _find(kind, name, assets) is not None


def names(kind: AssetKind, assets: Path | None = None) -> dict[str, Path]:
    """All assets of a kind by name; where a name occurs twice, the place searched first wins."""
    found: dict[str, Path] = {}
    for root in _roots(assets):
        folder = root / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if _is_asset(kind, path):
                found.setdefault(path.name.removesuffix(_SUFFIX[kind]), path)
    return found


_SUFFIX: dict[AssetKind, str] = {"judges": ".toml", "benchmarks": "", "prompts": ".jsonl"}


_FASTCHAT = "fastchat/llm_judge/data"
"""Where FastChat keeps its benchmarks."""

_BY_PATH: dict[AssetKind, str] = {
    "judges": "",
    "benchmarks": "; any other folder with a question.jsonl is named by its path",
    "prompts": "; any other file is named by its path",
}


def _in_fastchat(kind: AssetKind, name: str) -> list[str]:
    """The benchmark in FastChat's own folder, which is not searched: a `data/` here may be anything."""
    places = (Path(place) / name for place in (_FASTCHAT, f"FastChat/{_FASTCHAT}", "data"))
    return [str(place) for place in places if kind == "benchmarks" and _is_asset(kind, place)]


def _find(kind: AssetKind, name: str, assets: Path | None) -> Path | None:
    explicit = Path(name)
    # Whatever a judge file or a prompt file is called: a path that is there is meant.
    if _is_asset(kind, explicit) or (kind != "benchmarks" and explicit.is_file()):
        return explicit
    candidates = (root / kind / own for root in _roots(assets) for own in (f"{name}{_SUFFIX[kind]}", name))
    return next((candidate for candidate in candidates if _is_asset(kind, candidate)), None)


def _is_asset(kind: AssetKind, path: Path) -> bool:
    # Files are tested, not folders: an uninstall can leave an empty folder behind.
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
