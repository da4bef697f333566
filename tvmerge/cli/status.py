"""`tvmerge status`: shows the status of a study, running or finished."""

from __future__ import annotations

from pathlib import Path

import click

from tvmerge.cli.lines import say, say_json
from tvmerge.errors import ConfigError


@click.command()
@click.argument("run", required=False)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run folder, instead of RUN.")
@click.option("--storage", help="Storage of the study; default: the one in the run folder.")
@click.option("--study-name", help="Name of the study; default: the study of the run folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(
    run: str | None, *, run_dir: Path | None, storage: str | None, study_name: str | None, as_json: bool
) -> None:
    """Show the status of a study, running or finished.

    RUN is a run folder, or the name of a study whose folder is in runs/.
    """
    from tvmerge.api.status import status as read
    from tvmerge.run.run_folder import named_folder

    if run is not None and run_dir is not None:
        raise ConfigError(f"the run folder is given twice: as {run} and as --run-dir {run_dir}; pass one")
    if run is None and run_dir is None and (storage is None or study_name is None):
        raise ConfigError("pass a run folder, or --storage and --study-name")
    folder = run_dir if run is None else named_folder(run)
    found = read(folder, storage=storage, study_name=study_name)
    if as_json:
        say_json(found.as_json())
    else:
        say(str(found))
