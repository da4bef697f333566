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
    """Convert a record to JSON data."""
    return asdict(record)


def unpack(kind: type[R], row: Mapping[str, Any]) -> R:
    """Restore a record of `kind` from JSON data, with lists as tuples."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return kind(**fields)


def pack_recipe(recipe: Recipe) -> Row:
    """Convert a recipe to JSON data, in which floats are exact."""
    return {"weights": dict(recipe.weights)}


def unpack_recipe(row: Mapping[str, Any]) -> Recipe:
    """Restore a recipe from JSON data."""
    return Recipe(**row)


def pack_error(error: UserError) -> Row:
    """Convert an error that users can read to JSON data."""
    return {"error": type(error).__name__, "message": str(error)}


def unpack_error(row: Mapping[str, Any]) -> UserError:
    """Restore an error as its class, or the nearest base class that takes only a message."""
    kinds = {kind.__name__: kind for kind in _ERRORS}
    return kinds.get(row["error"], UserError)(row["message"])
