"""Judges and engines that a caller passes by name or as objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from tvmerge.engines.own import OwnEngines, own_engines
from tvmerge.judging.judges.own import check_judge
from tvmerge.protocols import Engine, IdentifiedEngine, Judge, Merger

GivenJudge = Judge | str | PathLike[str] | Sequence[str | PathLike[str]]
"""A judge object, or names as in the setting `judge`; several names form a panel."""

GivenEngine = IdentifiedEngine | Sequence[IdentifiedEngine] | Callable[[Merger], Engine] | str
"""Engine objects, or a factory that takes a `Merger`, or a name as in the setting `engine`."""


@dataclass(frozen=True, slots=True)
class CallerObjects:
    """The judge and engines that a caller passed as objects.

    Attributes:
        judge: The judge; None if the settings name it.
        engines: The engines; None if the settings name them.
        settings: The values that the settings `judge` and `engine` get.
    """

    judge: Judge | None
    engines: OwnEngines | None
    settings: dict[str, Any]


def caller_objects(judge: GivenJudge | None, engine: GivenEngine | None = None) -> CallerObjects:
    """Separate objects from names.

    Raises:
        ConfigError: An object is not a judge or engine, or lacks a `fingerprint`.
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
    return CallerObjects(own_judge, engines, settings)
