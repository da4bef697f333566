"""`tvmerge report`: makes the page of a run, finished or not."""

from __future__ import annotations

from pathlib import Path

import click

from tvmerge.cli.lines import say
from tvmerge.errors import ConfigError
from tvmerge.tasks.fastchat.question_file import QUESTIONS

_PAGE = b"<!doctype html"
"""How a page begins, in lower case."""


@click.command()
@click.argument("run", required=False)
@click.option("--storage", help="Storage of the study; default: the one in the run folder.")
@click.option("--study-name", help="Name of the study; default: the study of the run folder.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: report.html in RUN.")
@click.option("--lang", default="en", show_default=True, help="Language of the page: en or ja.")
@click.option(
    "--png",
    type=click.Path(path_type=Path),
    help="Folder for the figures as PNG files; needs Chromium or Chrome.",
)
def report(
    run: str | None,
    *,
    storage: str | None,
    study_name: str | None,
    out: Path | None,
    lang: str,
    png: Path | None,
) -> None:
    """Make the HTML page of a run at any time, also while it works.

    RUN is a run folder, or the name of a study whose folder is in runs/. Nothing else is written.
    """
    from tvmerge.api.load_result import load_result
    from tvmerge.report.language import language
    from tvmerge.report.png import find_browser, write_pngs
    from tvmerge.run.run_folder import named_folder

    if run is None and (storage is None or study_name is None):
        raise ConfigError("pass a run folder, or --storage and --study-name")
    folder = None if run is None else named_folder(run)
    place = _place(folder, out)
    if out is not None:
        _check_page(out)
    if png is not None:
        find_browser()
    result = load_result(folder, storage=storage, study_name=study_name)
    if out is None and folder is not None:
        _protect(place, folder, finished=result.progress is None)
    say(f"report: {result.write_report(place, lang=lang)}")
    if png is not None:
        with language(lang):
            files = write_pngs(png, result.figures)
        say(f"figures: {', '.join(str(file) for file in files)}")


def _check_page(place: Path) -> None:
    """Refuse to replace a file that is no page, such as the database of the study."""
    if place.is_file():
        with place.open("rb") as file:
            start = file.read(len(_PAGE))
        if start and start.lower() != _PAGE:
            raise ConfigError(f"{place} exists and is not an HTML page; pass another --out FILE")


def _protect(place: Path, folder: Path, *, finished: bool) -> None:
    """Refuse to replace a page of an earlier release, which shows answers that a new one would lack."""
    if finished and place.exists() and not (folder / QUESTIONS).is_file():
        raise ConfigError(
            f"{folder} has no {QUESTIONS}, as runs of earlier releases, so a new page would lack the answers "
            f"that {place} shows; pass --out FILE"
        )


def _place(folder: Path | None, out: Path | None) -> Path:
    if out is not None:
        return out
    if folder is None:
        raise ConfigError("pass --out FILE: a study without a run folder has no place for its report")
    return folder / "report.html"
