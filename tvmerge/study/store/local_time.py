"""Converts between the naive local time of Optuna's trials and the naive UTC of its databases."""

from __future__ import annotations

from datetime import UTC, datetime


def to_utc(moment: datetime | None) -> datetime | None:
    """Convert Optuna's naive local time to the naive UTC that it stores."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def from_utc(moment: datetime | None) -> datetime | None:
    """Convert the naive UTC that Optuna stores to its naive local time."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
