"""Estimates, differences and the winner's files as they are in `result.json`; what is undefined is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tvmerge.records import Difference, Estimate
from tvmerge.report.result import QuantisedWinner


def estimate_json(found: Estimate | None) -> dict[str, Any] | None:
    """Return an estimate as JSON data."""
    if found is None:
        return None
    return {"mean": number_json(found.mean), "se": number_json(found.se), "n": found.n}


def difference_json(gain: Difference) -> dict[str, Any]:
    """Return a difference as JSON data."""
    return {
        "difference": number_json(gain.difference),
        "low": number_json(gain.low),
        "high": number_json(gain.high),
        "n": gain.n,
    }


def number_json(value: float) -> float | None:
    """Return a number as JSON data."""
    return None if math.isnan(value) else value


def maybe_estimate(row: Mapping[str, Any] | None) -> Estimate | None:
    """Restore what `estimate_json` returned."""
    return None if row is None else read_estimate(row)


def read_estimate(row: Mapping[str, Any]) -> Estimate:
    """Restore an estimate."""
    return Estimate(read_number(row["mean"]), read_number(row["se"]), int(row["n"]))


def read_difference(row: Mapping[str, Any]) -> Difference:
    """Restore a difference."""
    middle, low, high = (read_number(row[name]) for name in ("difference", "low", "high"))
    return Difference(middle, low, high, int(row["n"]))


def read_number(value: float | None) -> float:
    """Restore a number; null is not a number."""
    return math.nan if value is None else float(value)


def quantised_json(form: QuantisedWinner) -> dict[str, Any]:
    """Return a file of the winner as JSON data."""
    return {
        "type": form.type,
        "file": form.file,
        "bytes": form.nbytes,
        "holdout": estimate_json(form.holdout),
        "lost": None if form.lost is None else difference_json(form.lost),
        "shortfall": form.shortfall,
    }


def read_quantised(row: Mapping[str, Any]) -> QuantisedWinner:
    """Restore a file of the winner."""
    lost = row["lost"]
    return QuantisedWinner(
        type=row["type"],
        file=row["file"],
        nbytes=row["bytes"],
        holdout=read_estimate(row["holdout"]),
        lost=None if lost is None else read_difference(lost),
        shortfall=row["shortfall"],
    )
