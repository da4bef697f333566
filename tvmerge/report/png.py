"""Writes figures as PNG files, drawn by a browser of the Chromium family.

The figures' style sheet uses variables and media queries, which SVG libraries do not know.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tvmerge._util.threads import run_apart
from tvmerge.errors import ConfigError, OutputError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
_MARGIN = 16
_ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=2",
)
_PATIENCE = 120.0
"""Seconds to wait for a figure."""

_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_PAGE = (
    '<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="only light">'
    "<style>body {{ margin: {margin}px; background: #fff; }} svg {{ display: block; width: {width}px; }}"
    "</style>{svg}"
)


def find_browser() -> str:
    """Return the path of a browser that can draw figures.

    Raises:
        ConfigError: None was found.
    """
    found = [*filter(None, map(shutil.which, _NAMES)), *(place for place in _PLACES if Path(place).is_file())]
    if not found:
        raise ConfigError(
            "PNG files are drawn by Chromium or Chrome, and none was found; install one (Debian: apt-get "
            "install chromium), or save the figures as SVG"
        )
    return found[0]


def write_pngs(folder: Path, figures: Mapping[str, str]) -> list[Path]:
    """Write each figure to `folder` under its name, on white and at twice its size; return the files.

    Args:
        folder: The folder, which is created.
        figures: SVG documents by name.

    Raises:
        ConfigError: No browser was found.
        OutputError: The browser failed.
        OSError: The folder cannot be written.
    """
    browser = find_browser()
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{name}.png": svg for name, svg in figures.items()}
    run_apart(_draw_all(files, browser))
    return list(files)


def write_png(file: Path, svg: str) -> None:
    """Write an SVG document as a PNG file; see `write_pngs`."""
    write_pngs(file.parent, {file.stem: svg})


async def _draw_all(files: Mapping[Path, str], browser: str) -> None:
    for file, svg in files.items():
        with tempfile.TemporaryDirectory() as scratch:
            await _draw(file, svg, browser, Path(scratch))


async def _draw(file: Path, svg: str, browser: str, scratch: Path) -> None:
    size = _SIZE.search(svg)
    if size is None:
        raise OutputError(f"{file}: the figure has no size, so it cannot be drawn as PNG", None)
    width, height = (round(float(part)) + 1 for part in size.groups())
    page, picture = scratch / "figure.html", scratch / "figure.png"
    page.write_text(_PAGE.format(margin=_MARGIN, width=width, svg=svg), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        browser,
        *_ARGUMENTS,
        *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # root has no sandbox
        f"--user-data-dir={scratch / 'profile'}",
        f"--window-size={width + 2 * _MARGIN},{height + 2 * _MARGIN}",
        f"--screenshot={picture}",
        page.as_uri(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaint = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise OutputError(f"{file}: {browser} took longer than {_PATIENCE:g} s", None) from error
    if process.returncode or not picture.is_file():
        lines = complaint.decode("utf-8", errors="replace").strip().splitlines() or ["it drew nothing"]
        raise OutputError(f"{file}: {browser} failed: {lines[-1]}", None)
    shutil.move(picture, file)
