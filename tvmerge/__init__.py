"""tvmerge finds the best way to add a task vector to a language model.

new = target + weight * (tuned - base)

The names below are the Python API. Each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tvmerge._version import __version__

if TYPE_CHECKING:
    from tvmerge import testing
    from tvmerge.api.judge import judge
    from tvmerge.api.load_result import load_result
    from tvmerge.api.merge import merge
    from tvmerge.api.optimize import optimize, optimize_async
    from tvmerge.api.plan import plan
    from tvmerge.api.settings import load_config
    from tvmerge.api.status import status
    from tvmerge.config.run import RunConfig
    from tvmerge.errors import TvmergeError
    from tvmerge.records.candidates import Recipe
    from tvmerge.records.questions import Answer, Question
    from tvmerge.records.ratings import Rating, Unrated
    from tvmerge.report.run_result import RunResult

__all__ = [
    "Answer",
    "Question",
    "Rating",
    "Recipe",
    "RunConfig",
    "RunResult",
    "TvmergeError",
    "Unrated",
    "__version__",
    "judge",
    "load_config",
    "load_result",
    "merge",
    "optimize",
    "optimize_async",
    "plan",
    "status",
    "testing",
]

_MODULES = {
    "Answer": "tvmerge.records.questions",
    "Question": "tvmerge.records.questions",
    "Rating": "tvmerge.records.ratings",
    "Recipe": "tvmerge.records.candidates",
    "RunConfig": "tvmerge.config.run",
    "RunResult": "tvmerge.report.run_result",
    "TvmergeError": "tvmerge.errors",
    "Unrated": "tvmerge.records.ratings",
    "judge": "tvmerge.api.judge",
    "load_config": "tvmerge.api.settings",
    "load_result": "tvmerge.api.load_result",
    "merge": "tvmerge.api.merge",
    "optimize": "tvmerge.api.optimize",
    "optimize_async": "tvmerge.api.optimize",
    "plan": "tvmerge.api.plan",
    "status": "tvmerge.api.status",
}
"""Where each name is defined."""

if not TYPE_CHECKING:  # with __getattr__, a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name == "testing":
            return import_module("tvmerge.testing")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return found


def __dir__() -> list[str]:
    return __all__
