"""The stages of a run, and how a process says which of them it is in."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

START = "start"
"""The stage before the first that a process can tell: Python, imports, settings."""

STAGES: Mapping[str, tuple[str, ...]] = {
    "reading the questions": ("tvmerge.run.optimize:build_suite",),
    "looking up the study": ("tvmerge.run.optimize:outline",),
    "rating a test answer": ("tvmerge.tasks.suite:TaskSuite.check",),
    "reading the models": ("tvmerge.run.build:open_models",),
    "opening the study": ("tvmerge.study.open:KnownStudy.open",),
    "asking, with refits": (
        "tvmerge.study.blocks.study:BlockStudy.ask",
        "tvmerge.study.study:SearchStudy.ask",
    ),
    "merging": ("tvmerge.engines.transformers.engine:TransformersEngine._merge",),
    "answering": ("tvmerge.engines.transformers.engine:TransformersEngine._answer",),
    "judging": ("tvmerge.judging.client.timeout:TimeLimitedChat.send",),
    "keeping a reply": ("tvmerge.judging.client.cache:ReplyStore.arrived",),
    "entering a reply": ("tvmerge.judging.client.ledger:Ledger.record",),
    "waiting to be stored": ("tvmerge.judging.client.cache:ReplyStore.put",),
    "storing replies": ("tvmerge.judging.client.cache:ReplyStore._put_all",),
    "logging answers": (
        "tvmerge.tasks.fastchat.answer_log:AnswerLog.keep",
        "tvmerge.tasks.fastchat.answer_log:AnswerLog.add",
    ),
    "telling": ("tvmerge.study.blocks.study:BlockStudy.tell", "tvmerge.study.study:SearchStudy.tell"),
    "comparing finalists": ("tvmerge.run.optimize:_confirm",),
    "writing the model": ("tvmerge.merging.export.export:write_merge",),
    "replacing the model": ("tvmerge.merging.export.replacement:_swap",),
    "writing the results": ("tvmerge.run.optimize:write_jsonl", "tvmerge.run.optimize:write_json"),
    "writing the report": ("tvmerge.run.optimize:write_page",),
    "uploading": ("tvmerge.run.optimize:push_to_hub",),
    "closing": ("tvmerge.run.build:Run.close",),
}
"""The functions of each stage, in the order of a run."""


def tell_stages(told: Callable[[bytes], object]) -> None:
    """From now on, call `told` with `+NAME` when this process enters a stage, and `-NAME` when it leaves."""
    for name, places in STAGES.items():
        for place in places:
            owner, attribute = _owner(place)
            setattr(owner, attribute, _telling(getattr(owner, attribute), name, told))


def _owner(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    *outer, attribute = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module)), attribute


def _telling(function: Callable[..., Any], name: str, told: Callable[[bytes], object]) -> Callable[..., Any]:
    def enter() -> None:
        told(f"+{name}".encode())

    def leave() -> None:
        told(f"-{name}".encode())

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        enter()
        try:
            return function(*args, **options)
        finally:
            leave()

    @functools.wraps(function)
    async def call_async(*args: Any, **options: Any) -> Any:
        enter()
        try:
            return await function(*args, **options)
        finally:
            leave()

    return call_async if inspect.iscoroutinefunction(function) else call
