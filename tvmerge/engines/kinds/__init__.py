"""Kinds of engines: what models run on. Each module here is one, and is found by its name.

A new engine is a module that defines `ENGINE`, an `EngineKind`: a file in this folder, or one of an installed
package, which names it as an entry point:

    [project.entry-points."tvmerge.engines"]
    llama = "my_package.llama"

Then `--engine llama` takes it. It opens a `tvmerge.protocols.Engine`, whose `capabilities` say what may be
relied on. What is set of it stands in the table `[engine_options]` of the config file.

Both the key of stored answers and the study's fingerprint have its name, the options that decide answers and,
of an installed package, the version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    from tvmerge.protocols import Engine

Options = Mapping[str, Any]
"""The table `[engine_options]`; of vLLM `[vllm]`."""


def _accept(_: Options) -> None:
    """Take any options."""


def _ready() -> None:
    """Need nothing that may be missing."""


def _whole(context: int | None, _: Options) -> int | None:
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """What a module of an engine defines.

    Attributes:
        open: From the opened models (`tvmerge.merging.merge.Merge`), an `EngineSettings`
            (`tvmerge.engines.open`) and the `ChatFormat` to an engine.
        check_options: Raises `ConfigError` for options that it does not take.
        check_installed: Raises `UserError` where what it needs is not installed; cheap.
        decisive: The options that may change an answer.
        tensor_parallel: Several GPUs can share a model.
        takes_visible_gpus: It takes the GPUs that its process sees, so on GPUs it gets a process of its own.
        context: From the tokens of the model's context, if it has a limit, and the options to how many the
            engine reads of a text whose likelihood is asked.
    """

    open: Callable[..., Engine]
    check_options: Callable[[Options], None] = _accept
    check_installed: Callable[[], None] = _ready
    decisive: Callable[[Options], dict[str, Any]] = dict
    tensor_parallel: bool = False
    takes_visible_gpus: bool = False
    context: Callable[[int | None, Options], int | None] = _whole


ENGINES = Plugins(
    what="engine", kind=EngineKind, attribute="ENGINE", package=__name__, group="tvmerge.engines"
)
