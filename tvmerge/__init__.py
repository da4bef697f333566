"""tvmerge finds the best way to add a task vector to a language model.

new = target + weight * (tuned - base)
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
