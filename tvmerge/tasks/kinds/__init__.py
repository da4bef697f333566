"""Kinds of tasks that ask models in their own way and rate the answers themselves. Each module here is one.

A new kind is a module that defines `TASK_KIND`, a `TaskKind`. It is a file in this folder, or a module of an
installed package that declares it as an entry point:

    [project.entry-points."tvmerge.tasks"]
    sums = "my_package.sums"

Then a table `[[task_kinds]]` in the config file with `kind = "sums"` adds its tasks; the other keys of the
table are passed to it. A benchmark rated by judges needs no code: it is a folder with a `question.jsonl`.

A study's fingerprint has the questions, the fingerprint of the tasks' judge and, for an installed package,
its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge._util.plugins import Plugins
from tvmerge.errors import ConfigError
from tvmerge.tasks.base import Note, Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """A kind of tasks.

    Attributes:
        open: Makes the tasks from the keys of its table and a function that shows the user a note; raises
            `UserError` if they are invalid.
        inherits: Settings of tasks, such as `apply_chat_template`, that its tables inherit unless set there.
    """

    open: Callable[[Mapping[str, Any], Note], Tasks]
    inherits: tuple[str, ...] = ()


TASK_KINDS = Plugins(
    what="kind of tasks", kind=TaskKind, attribute="TASK_KIND", package=__name__, group="tvmerge.tasks"
)


def kind_of(table: Mapping[str, Any]) -> TaskKind:
    """Return the kind of tasks that a table `[[task_kinds]]` names.

    Raises:
        ConfigError: It names none, or an unknown one.
    """
    if not isinstance(kind := table.get("kind"), str):
        raise ConfigError(f"each of task_kinds needs a key 'kind': {', '.join(TASK_KINDS.names())}")
    return TASK_KINDS.load(kind)


def open_kinds(
    tables: Iterable[Mapping[str, Any]], note: Note, settings: Mapping[str, Any]
) -> tuple[Tasks, ...]:
    """Open the tasks of the tables `[[task_kinds]]`.

    Args:
        tables: The tables.
        note: Shows the user a note.
        settings: The settings of all tasks, from which a kind inherits.

    Raises:
        UserError: A table has an unknown kind, or its tasks are invalid.
    """
    found = []
    for table in tables:
        kind = kind_of(table)
        options = {key: settings[key] for key in kind.inherits if key in settings} | dict(table)
        del options["kind"]
        found.append(kind.open(options, note))
    return tuple(found)


def packages(tables: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the installed packages that the kinds of tasks come from, for a study's fingerprint."""
    found = dict.fromkeys(package for table in tables if (package := TASK_KINDS.origin(str(table["kind"]))))
    return {"task_package": ", ".join(found)} if found else {}
