"""Records and errors as JSON data, for engines in other processes and on other nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from tvmerge.errors import AssetError, CandidateError, CheckpointError, ConfigError, UserError
from tvmerge.records import (
    Answer,
    Capabilities,
    Continuation,
    LogLikelihood,
    Question,
    Recipe,
    Sampling,
)

R = TypeVar("R", Answer, Capabilities, Continuation, LogLikelihood, Question, Sampling)
Row = dict[str, Any]

_ERRORS: Sequence[type[UserError]] = (AssetError, CandidateError, CheckpointError, ConfigError)


def pack(record: R) -> Row:
    """A record as JSON data."""
    return asdict(record)


def unpack(kind: type[R], row: Mapping[str, Any]) -> R:
    """The record of `kind` that was packed; what JSON made a list of was a tuple."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return kind(**fields)


def pack_recipe(recipe: Recipe) -> Row:
    """A recipe as JSON data; floats survive JSON exactly."""
    return {"weights": dict(recipe.weights)}


def unpack_recipe(row: Mapping[str, Any]) -> Recipe:
    """The recipe that was packed."""
    return Recipe(**row)


def pack_error(error: UserError) -> Row:
    """An error that a person is to read."""
    return {"error": type(error).__name__, "message": str(error)}


def unpack_error(row: Mapping[str, Any]) -> UserError:
    """The error that was packed, as the nearest kind that is made from a message alone."""
    kinds = {kind.__name__: kind for kind in _ERRORS}
    return kinds.get(row["error"], UserError)(row["message"])
