"""The version of this package, which every other module may import."""

from __future__ import annotations

__version__ = "0.1.0"
