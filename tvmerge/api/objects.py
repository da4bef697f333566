"""Judges and engines that a caller gives by name or as objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from tvmerge.engines.own import OwnEngines, own_engines
from tvmerge.judging.judges.own import check_judge
from tvmerge.protocols import Engine, IdentifiedEngine, Judge, Merger

GivenJudge = Judge | str | PathLike[str] | Sequence[str | PathLike[str]]
"""A judge of one's own; or names as of the setting `judge`, several of which are a panel."""

GivenEngine = IdentifiedEngine | Sequence[IdentifiedEngine] | Callable[[Merger], Engine] | str
"""Engines of one's own, or what makes one of a `Merger`; or a name as of the setting `engine`."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects that a caller passed, such as judges and engines.

    Attributes:
        judge: The judge; None where the settings name it.
        engines: The engines; None where the settings name them.
        settings: What the settings are to say of both.
    """

    judge: Judge | None
    engines: OwnEngines | None
    settings: dict[str, Any]


def objects(judge: GivenJudge | None, engine: GivenEngine | None = None) -> Objects:
    """Tell objects from names.

    Raises:
        ConfigError: An object is no judge or engine, or does not say what decides what it returns.
    """
    settings: dict[str, Any] = {}
    own_judge, engines = None, None
    if isinstance(judge, str | PathLike | Sequence):
        settings["judge"] = judge
    elif judge is not None:
        check_judge(judge)
        own_judge, settings["judge"] = judge, judge.name
    if isinstance(engine, str):
        settings["engine"] = engine
    elif engine is not None:
        engines = own_engines(engine)
    return Objects(own_judge, engines, settings)
