"""Fakes and contract suites for tests of code that uses or extends tvmerge.

The fakes need nothing but tvmerge. The contract suites are classes of pytest tests and import pytest. To get
pytest's detailed assertion messages for them:

    pytest.register_assert_rewrite("tvmerge.testing")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tvmerge.testing.demo import demo_config
from tvmerge.testing.scripted import Clock, ScriptedEngine, ScriptedJudge

if TYPE_CHECKING:
    from tvmerge.testing.chat_contract import ChatModelContract
    from tvmerge.testing.engine_contract import EngineContract
    from tvmerge.testing.judge_contract import JudgeContract
    from tvmerge.testing.store_contract import TrialStoreContract

__all__ = [
    "ChatModelContract",
    "Clock",
    "EngineContract",
    "JudgeContract",
    "ScriptedEngine",
    "ScriptedJudge",
    "TrialStoreContract",
    "demo_config",
]

_CONTRACTS = {
    "ChatModelContract": "tvmerge.testing.chat_contract",
    "EngineContract": "tvmerge.testing.engine_contract",
    "JudgeContract": "tvmerge.testing.judge_contract",
    "TrialStoreContract": "tvmerge.testing.store_contract",
}

if not TYPE_CHECKING:  # with __getattr__, a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _CONTRACTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_CONTRACTS[name]), name)
        return found


def __dir__() -> list[str]:
    return __all__
