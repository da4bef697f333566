"""Kinds of engines. Each module in this folder is one, found by its file name.

A new engine is a module that defines `ENGINE`, an `EngineKind`: a file in this folder, or a module of an
installed package that is declared as an entry point:

    [project.entry-points."tvmerge.engines"]
    llama = "my_package.llama"

Then `--engine llama` selects it. It opens a `tvmerge.protocols.Engine`, whose `capabilities` describe it. Its
options are in the table `[engine_options]` of the config file.

The key of stored answers and the study's fingerprint contain its name, the options that decide answers, and
the version of an installed package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    from tvmerge.merging.merge import Merge
    from tvmerge.protocols import Engine

Options = Mapping[str, Any]
"""The table `[engine_options]`, or `[vllm]` for vLLM."""


TABLES = ("engine_options", "vllm")
"""Settings that hold the options of an engine."""


def _accept(_: Options) -> None:
    """Accept all options."""


def _ready() -> None:
    """Require no installation."""


def _whole(context: int | None, _: Options) -> int | None:
    return context


def _fit(_models: Merge, _dtype: str | None) -> None:
    """Accept all models."""


def _unknown(*_: object) -> None:
    """Return None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """An engine, as its module defines it.

    Attributes:
        table: The setting that holds its options, one of `TABLES`; empty if it has none.
        open: Opens an engine, given the opened models (`tvmerge.merging.merge.Merge`), an `EngineSettings`
            (`tvmerge.engines.open`) and a `ChatFormat`.
        open_adapters: Opens several engines that share a model, each for another candidate, given the same
            with their number in the settings; None if it cannot.
        check_adapters: Raises `ConfigError` if candidates of the opened models cannot be adapters, given the
            models and the dtype of computation on GPUs, or None on a CPU.
        check_options: Raises `ConfigError` for options that the engine does not have.
        check_installed: Raises `UserError` if a package it needs is not installed; must be fast.
        decisive: Returns the options that may change an answer.
        tensor_parallel: Whether several GPUs can share a model.
        takes_visible_gpus: Whether it uses the GPUs visible to its process; it then runs in a process that
            sees only its GPUs.
        batch_size: Returns how many answers it generates at once, given the tokens of a question with its
            answer, `batch_tokens` and the options; None if that is not known.
        context: Returns the number of tokens the engine reads of a text whose likelihood is wanted, given the
            model's context length (None without a limit) and the options.
    """

    table: Literal["engine_options", "vllm", ""] = "engine_options"
    open: Callable[..., Engine]
    open_adapters: Callable[..., Sequence[Engine]] | None = None
    check_adapters: Callable[[Merge, str | None], None] = _fit
    check_options: Callable[[Options], None] = _accept
    check_installed: Callable[[], None] = _ready
    decisive: Callable[[Options], dict[str, Any]] = dict
    tensor_parallel: bool = False
    takes_visible_gpus: bool = False
    batch_size: Callable[[int, int, Options], int | None] = _unknown
    context: Callable[[int | None, Options], int | None] = _whole


ENGINES = Plugins(
    what="engine", kind=EngineKind, attribute="ENGINE", package=__name__, group="tvmerge.engines"
)
