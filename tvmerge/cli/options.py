"""Click options made from the settings declared in `tvmerge.config`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tvmerge._util.lists import Kind, split
from tvmerge.config import Option, groups, options

F = TypeVar("F", bound=Callable[..., Any])


class _CommaSeparated(click.ParamType[Any]):
    """A comma-separated list."""

    name = "list"

    def __init__(self, kind: type, listed: Kind) -> None:
        self._kind, self._listed = kind, listed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._kind(part) for part in split(str(value), self._listed))
        except ValueError:
            return self.fail(f"{value!r} is not a comma-separated list of {self._kind.__name__}", param, ctx)


class _OneOf(click.ParamType[str]):
    """One of a set of names, which is looked up when a value is read or help is shown."""

    name = "choice"

    def __init__(self, option: Option) -> None:
        self._option = option

    @property
    def _choice(self) -> click.Choice[str]:
        return click.Choice(self._option.choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return self._choice.convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        return self._choice.get_metavar(param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self._choice.shell_complete(ctx, param, incomplete)


class GroupedCommand(click.Command):
    """A command whose help shows the settings of runs in groups, after its own options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group with its title."""
        records = ((param.name, param.get_help_record(ctx)) for param in self.get_params(ctx))
        rows = {name: row for name, row in records if row is not None}
        grouped = {title: [rows.pop(key) for key in keys if key in rows] for title, keys in groups().items()}
        for title, found in {"Options": list(rows.values()), **grouped}.items():
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)


def run_options(defaults: Mapping[str, Any] | None = None) -> Callable[[F], F]:
    """Add a flag for every setting of a run, and `--config`, to a command.

    Args:
        defaults: The command's own defaults, for its help.
    """
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="TOML file with the same settings as keys; flags win.",
    )
    return lambda command: config(setting_options(options(), defaults or {})(command))


def setting_options(
    keys: Iterable[str], defaults: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[F], F]:
    """Add a flag for each of these settings to a command.

    A flag that is not given is None, so that the config file or the default applies.

    Args:
        keys: The settings.
        defaults: Defaults that the help shows instead of the settings' own.
    """
    known = options()

    def decorate(command: F) -> F:
        for key in reversed(list(keys)):
            option, default = known[key]
            if option.kind is not dict:
                command = _flag(key, option, defaults.get(key, default), key in defaults)(command)
        return command

    return decorate


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given; the values of a repeated flag are joined."""
    joined = {
        key: tuple(item for part in value for item in part) or None if isinstance(value, tuple) else value
        for key, value in flags.items()
    }
    return {key: value for key, value in joined.items() if value is not None}


def _flag(key: str, option: Option, default: Any, own: bool) -> Callable[[F], F]:
    names = [f"--{name.replace('_', '-')}" for name in (key, *option.aliases)]
    if option.kind is bool and default is None:
        return click.option(
            *names, key, type=bool, is_flag=False, flag_value=True, default=None, help=option.help
        )
    if option.kind is bool:
        return click.option(*names, key, is_flag=True, default=None, help=option.help)
    text = option.help
    if default not in (MISSING, None, ()) and (own or "default:" not in text):
        text = f"{text.partition('; default:')[0].rstrip('.')}.  [default: {_shown(default, option)}]"
    return click.option(*names, key, type=_type(option), multiple=option.many, default=None, help=text)


def _shown(default: Any, option: Option) -> str:
    return ",".join(map(str, default)) if option.many else str(default)


def _type(option: Option) -> click.ParamType[Any] | type:
    if option.many:
        return _CommaSeparated(option.kind, option.listed)
    return _OneOf(option) if option.names else option.kind
