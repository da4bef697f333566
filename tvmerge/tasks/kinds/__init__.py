"""Kinds of tasks, which are asked in a way of their own and rate themselves. Each module here is one.

A new kind is a module that defines `TASK_KIND`, a `TaskKind`: a file in this folder, or one of an installed
package, which names it as an entry point:

    [project.entry-points."tvmerge.tasks"]
    sums = "my_package.sums"

Then a table `[[task_kinds]]` of the config file with `kind = "sums"` asks its tasks; the other keys of the
table are its own. A benchmark that judges rate needs no code: it is a folder with a `question.jsonl`.

A study's fingerprint has the questions, what the tasks' judge says of itself and, of an installed package,
the version.
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
    """What a module of a kind of tasks defines.

    Attributes:
        open: From the keys of its table, and what tells the user something in passing, to the tasks; raises
            `UserError` where they are not usable.
    """

    open: Callable[[Mapping[str, Any], Note], Tasks]


TASK_KINDS = Plugins(
    what="kind of tasks", kind=TaskKind, attribute="TASK_KIND", package=__name__, group="tvmerge.tasks"
)


def open_kinds(tables: Iterable[Mapping[str, Any]], note: Note) -> tuple[Tasks, ...]:
    """The tasks of the tables `[[task_kinds]]`.

    Raises:
        UserError: A table names no kind there is, or its tasks are not usable.
    """
    found = []
    for table in tables:
        options = dict(table)
        if not isinstance(kind := options.pop("kind", None), str):
            raise ConfigError(f"each of task_kinds needs a key 'kind': {', '.join(TASK_KINDS.names())}")
        found.append(TASK_KINDS.load(kind).open(options, note))
    return tuple(found)


def packages(tables: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The installed packages that the kinds of tasks come from, for a study's fingerprint."""
    found = dict.fromkeys(package for table in tables if (package := TASK_KINDS.origin(str(table["kind"]))))
    return {"task_package": ", ".join(found)} if found else {}
