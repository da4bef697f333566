"""Finds data next to a task's file if a relative path is not in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager


def find_nearby_data(manager: TaskManager) -> TaskManager:
    """Make a manager's tasks find data next to their files."""
    factory = manager._factory
    read = factory._load_full_config

    def nearby(entry: Any, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
        config: dict[str, Any] = read(entry, overrides)
        return config if entry.yaml_path is None else beside(config, Path(entry.yaml_path).parent)

    factory._load_full_config = nearby
    return manager


def beside(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a task's configuration with relative data paths in `folder` if they exist only there.

    Paths that exist in the working directory are left as lm-eval reads them.
    """
    changed = dict(config)
    path = config.get("dataset_path")
    if isinstance(path, str) and path.startswith("."):
        changed["dataset_path"] = _placed(path, folder)
    options = config.get("dataset_kwargs")
    if isinstance(options, dict):
        changed["dataset_kwargs"] = {
            key: _all_placed(value, folder) if key in ("data_files", "data_dir") else value
            for key, value in options.items()
        }
    return changed


def _all_placed(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return _placed(value, folder)
    if isinstance(value, dict):
        return {key: _all_placed(item, folder) for key, item in value.items()}
    return [_all_placed(item, folder) for item in value] if isinstance(value, list) else value


def _placed(text: str, folder: Path) -> str:
    if "://" in text or Path(text).is_absolute() or _has(Path(), text) or not _has(folder, text):
        return text
    return str(folder / text)


def _has(folder: Path, pattern: str) -> bool:
    """Return whether a folder has a file or folder with this name or pattern."""
    if (folder / pattern).exists():
        return True
    try:
        return any(True for _ in folder.glob(pattern))
    except (ValueError, NotImplementedError):
        return False
