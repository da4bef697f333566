"""`tvmerge doctor`: what this installation can do, and what is wrong with it."""

from __future__ import annotations

import click

from tvmerge.cli.lines import say


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Show versions, devices, keys and folders, as a report of an error should.

    No key is shown, and nothing is sent. Exit with 2 if something would make runs fail.
    """
    from tvmerge.dry_run.doctor import examine

    found = []
    for finding in examine():
        say(str(finding))
        found.append(finding)
    if any(finding.problem for finding in found):
        context.exit(2)
