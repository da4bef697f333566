"""Reads files, and writes them so that a crash leaves either the old or the new content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from tvmerge._util.encodings import read_text
from tvmerge._util.parsing import parse_json
from tvmerge._util.real_path import real_path
from tvmerge._util.regular import read_bytes, refuse_irregular
from tvmerge.errors import AssetError

_NAME_SHOWN = 40
"""Number of characters of a file's name that its temporary file's name starts with."""

_MARK = ".tvmerge-"
"""What a temporary file's name contains, so that only such files are taken for leftovers."""

_LEFTOVER = re.compile(rf"\..*{re.escape(_MARK)}[a-z0-9_]{{8}}\.tmp", re.DOTALL)

_UNWRITTEN = "cannot be written: "
"""What errors of this module begin with."""

_PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO

_LONGEST_NAME = 200
"""Bytes of a name made from a text: file systems take 255 with what is added, such as `_single.jsonl`."""


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` atomically, as UTF-8 with Unix line ends, following links.

    Raises:
        OSError: The file cannot be written; `filename` of the error is `path`.
    """
    write_pieces(path, (text,))


def write_pieces(path: Path, pieces: Iterable[str], *, durable: bool = True) -> None:
    """Like `write_text`, for a text in pieces, which need not fit into memory together.

    Args:
        path: The file.
        pieces: The text.
        durable: Whether to wait until it outlives a crash of the machine, and not only one of the process.

    Raises:
        OSError: The file cannot be written; `filename` of the error is `path`.
    """
    try:
        _write(real_path(path), pieces, durable=durable)
    except OSError as error:
        raise _placed(error, path) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in `folder`, to which no other process writes.

    Raises:
        OSError: One cannot be removed.
    """
    if folder.is_dir():
        for path in folder.iterdir():
            if _LEFTOVER.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                path.unlink()


def append_text(path: Path, text: str) -> None:
    """Append to `path`, as UTF-8 with Unix line ends: all of the text, or nothing if there is an error.

    Raises:
        OSError: The file cannot be written; `filename` of the error is `path`.
    """
    try:
        refuse_irregular(path)
        # A file object for texts takes several times as long, and the ledger has a line for every request.
        with _unbuffered(path) as file:
            append_whole(file, text.encode("utf-8"))
    except OSError as error:
        raise _placed(error, path) from error


def append_whole(file: FileIO, content: bytes) -> None:
    """Write to the end of a file all of `content`, or nothing if there is an error.

    Raises:
        OSError: The file cannot be written.
    """
    end = file.seek(0, os.SEEK_END)
    rest = memoryview(content)
    try:
        while rest:  # a disk that fills up takes the first part; only the next write is an error
            rest = rest[file.write(rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(end)  # half a line would damage the next one
        raise


def _unbuffered(path: Path) -> FileIO:
    """Open a file for appending, and make its folder if it is missing."""
    try:
        return FileIO(path, "a")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileIO(path, "a")


def append_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Like `append_text`, for a text in pieces, which need not fit into memory together.

    Raises:
        OSError: The file cannot be written; `filename` of the error is `path`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_irregular(path)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
    except OSError as error:
        raise _placed(error, path) from error


def _placed(error: OSError, path: Path) -> OSError:
    """Return `error` with `path` as its file name, which may be missing or that of a temporary file."""
    return OSError(error.errno, write_fault(error), str(path))


def write_fault(error: OSError) -> str:
    """Return that something cannot be written, and why, also for an error that says the first already."""
    why = error.strerror or str(error)
    return why if why.startswith(_UNWRITTEN) else f"{_UNWRITTEN}{why}"


def _write(path: Path, pieces: Iterable[str], *, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_irregular(path)  # a file would take its place, which root may do even to /dev/null
    # Shortened, since `path` may already have a name of the maximum length.
    temporary = path.with_name(f".{path.name[:_NAME_SHOWN]}{_MARK}{_random()}.tmp")
    file = temporary.open("x", encoding="utf-8", newline="\n")
    try:
        with file:
            keep_mode(temporary, path)  # before anything is in it that others may not read
            file.writelines(pieces)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def make_folder_for(folder: Path, name: str) -> Path:
    """Make and return an empty folder beside `folder` that can take its place, hidden, with its permissions.

    Args:
        folder: The place, where there may be nothing yet.
        name: What the name of the new folder begins with, after the dot.

    Raises:
        OSError: The folder cannot be made.
    """
    made = folder.with_name(f".{name}.{_random()}.tmp")
    made.mkdir()
    keep_mode(made, folder)
    return made


def keep_mode(new: Path, old: Path) -> None:
    """Give a file or folder the permissions of the one that it will replace, if there is one.

    The permissions of what replaces nothing are left to the umask.
    """
    try:
        mode = stat.S_IMODE(old.stat().st_mode) & _PERMISSIONS
    except OSError:
        return
    if new.is_dir():
        mode |= stat.S_IRWXU  # it is to be filled
    if mode != stat.S_IMODE(new.stat().st_mode) & _PERMISSIONS:
        new.chmod(mode)


def _random() -> str:
    return secrets.token_hex(4)


def safe_name(text: str) -> str:
    """Return `text` as a file name of letters and digits of any script, dots, dashes and underscores.

    A name that is too long is cut, and ends in a digest of the text, which keeps it apart from others.
    """
    name = re.sub(r"[^\w.-]+", "-", text).strip(".-") or "unnamed"
    content = name.encode("utf-8", errors="surrogatepass")
    if len(content) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
    return f"{content[: _LONGEST_NAME - 17].decode('utf-8', errors='ignore')}-{mark}"


def hub_snapshot(folder: Path) -> tuple[str, str] | None:
    """Return the hub id and commit of a model in the hub's cache; None for other folders.

    The cache stores models in `models--OWNER--NAME/snapshots/COMMIT`.
    """
    place = real_path(folder)
    kept = re.fullmatch(r"models--([\w.-]+)", place.parent.parent.name)
    if place.parent.name != "snapshots" or kept is None:
        return None
    return kept[1].replace("--", "/", 1), place.name


def folder_name(folder: Path) -> str:
    """Return the display name of a model's folder: its last part, or hub id and commit in the hub's cache."""
    found = hub_snapshot(folder)
    return real_path(folder).name if found is None else "@".join(found)


def write_json(path: Path, data: object) -> None:
    """Replace `path` atomically with `data` as indented JSON."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Replace `path` atomically with one JSON object per line."""
    write_pieces(path, map(jsonl_line, rows))


def jsonl_line(row: Mapping[str, object]) -> str:
    """Return a line of a JSON-lines file, including its line end."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line that is not blank.

    Raises:
        AssetError: The file cannot be read or is not UTF-8, or a line is not a JSON object; the message names
            file and line.
    """
    yield from json_rows(path, read_text(path))


def read_growing_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Like `read_jsonl`, for a file that another process may be appending to: its last line may be cut."""
    whole, _, _ = read_bytes(path).rpartition(b"\n")
    yield from json_rows(path, whole.decode("utf-8", errors="replace"))


def json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line of `text` that is not blank.

    Args:
        path: The file of the text, for messages.
        text: JSON lines.

    Raises:
        AssetError: A line is not a JSON object; the message names file and line.
    """
    # Only \n ends a line; str.splitlines would also split at separators that JSON strings may contain.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise AssetError(f"{path}:{number}: not a JSON line: {error}") from error
        if not isinstance(row, dict):
            raise AssetError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def end_last_line(path: Path) -> None:
    """End the last line of a JSON-lines file, or remove it if a crash left it incomplete.

    The lines before are not written again, so they cannot be lost.
    """
    with path.open("r+b") as file:
        content = file.read()
        begin = content.rfind(b"\n") + 1
        if begin == len(content):
            return
        try:
            parse_json(content[begin:])
        except ValueError:
            file.truncate(begin)
        else:
            file.write(b"\n")
