"""The GGUF files of a run's winner: what is checked before the run, where they are, how large they get."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tvmerge._util.threads import run_apart
from tvmerge.merging.gguf.folder import GgufFolder

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


def check_gguf(run_spec: RunSpec, phase: Callable[[str], None] = lambda _: None) -> None:
    """Check that llama.cpp can convert the winner, if it is to be.

    Args:
        run_spec: The run.
        phase: Called with what is being done.

    Raises:
        ConfigError: It cannot.
    """
    if run_spec.gguf is not None:
        phase("llama.cpp's converter looks at the model")
        run_apart(run_spec.gguf.tools.check(run_spec.models))


def check_gguf_folder(run_spec: RunSpec) -> None:
    """Check that the winner's files may be written; model files that no run has used are read for that.

    Raises:
        CheckpointError: The folder holds something that must not be replaced.
    """
    if run_spec.gguf is not None:
        winner_folder(run_spec).check()


def winner_folder(run_spec: RunSpec, source: str = "") -> GgufFolder:
    """Return the folder of the GGUF files of a run's winner.

    Args:
        run_spec: The run.
        source: Identifies the winner's content, see `gguf_source`.
    """
    return GgufFolder(
        run_spec.paths.model,
        source,
        owner=run_spec.owner,
        overwrite=run_spec.config.overwrite,
        sources=run_spec.models.folders,
    )


def gguf_sizes(run_spec: RunSpec) -> dict[str, int]:
    """Return about how many bytes each file of the winner has, by its type; empty without files."""
    return {} if run_spec.gguf is None else run_spec.gguf.tools.sizes(run_spec.models)
