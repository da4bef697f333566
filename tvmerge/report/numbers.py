"""Formats numbers for output; in ASCII except for `±`, so that every console can show them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvmerge.records import Difference, Estimate, Trial
from tvmerge.report.language import tr

MISSING = "-"
Z95 = 1.959963984540054
"""Half the width of a normal 95% interval in standard errors."""

_SHOWN = 12
"""Maximum number of names of weights that are written out."""


def score(value: float | None) -> str:
    """Format a score with two digits, or as a dash if there is none."""
    return MISSING if value is None or not math.isfinite(value) else f"{_rounded(value):.2f}"


def signed(value: float) -> str:
    """Format a difference of scores with its sign."""
    return f"{_rounded(value):+.2f}" if math.isfinite(value) else MISSING


def plus_minus(mean: float | None, se: float | None) -> str:
    """Format a mean with its standard error, if known."""
    return score(mean) if score(se) == MISSING else f"{score(mean)} ± {score(se)}"


def estimate(value: Estimate | None) -> str:
    """Format an estimate as mean ± standard error."""
    return MISSING if value is None else plus_minus(value.mean, value.se)


def interval(difference: Difference) -> str:
    """Format the bounds of a difference, or `no interval` with too few questions."""
    if math.isnan(difference.low) or math.isnan(difference.high):
        return tr("no interval")
    return f"[{signed(difference.low)}, {signed(difference.high)}]"


def gain(difference: Difference | None) -> str:
    """Format a difference with its bounds."""
    if difference is None or math.isnan(difference.difference):
        return MISSING
    return f"{signed(difference.difference)} {interval(difference)}"


def weight(value: float) -> str:
    """Format a weight with up to three significant digits."""
    return f"{value + 0.0:.3g}"


def percent(share: float) -> str:
    """Format a fraction in [0, 1] as a whole percentage."""
    return f"{100 * share:.0f}%"


def count(n: int, noun: str) -> str:
    """Format a count: `1 question`, `1,020 questions`."""
    return tr(f"{{n}} {noun}" if n == 1 else f"{{n}} {noun}s", n=f"{n:,}")


def duration(seconds: float) -> str:
    """Format a time span with its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return tr("{n} s", n=whole)
    minutes = round(seconds / 60)
    if minutes < 60:
        return tr("{n} min", n=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24 and not minutes:
        return tr("{n} h", n=hours)
    if hours < 24:
        return tr("{hours} h {minutes} min", hours=hours, minutes=minutes)
    days, hours = divmod(hours, 24)
    return tr("{days} d {hours} h", days=days, hours=hours) if hours else tr("{n} d", n=days)


def folded(names: Sequence[str]) -> str:
    """Join names in a line, leaving out the middle of many."""
    if len(names) <= _SHOWN:
        return ", ".join(names)
    half = _SHOWN // 2
    return ", ".join((*names[:half], f"... {len(names) - _SHOWN} more ...", *names[-half:]))


def size(number: int) -> str:
    """Format a number of bytes."""
    return f"{number / 1e9:.1f} GB" if number >= 10**9 else f"{number / 1e6:.1f} MB"


def _rounded(value: float) -> float:
    # Adding zero turns a negative zero into a plain one.
    return round(value, 2) + 0.0


def standard_error(trial: Trial) -> float | None:
    """Return the standard error recorded with a trial's score, or None if unknown."""
    se = trial.attrs.get("se")
    return float(se) if isinstance(se, int | float) and math.isfinite(se) else None
