"""The GGUF files of a written model: what is checked before, and how they are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.canonical import digest
from tvmerge._util.threads import run_apart
from tvmerge.merging.gguf.folder import GgufFolder
from tvmerge.merging.gguf.tools import GgufTools, open_tools, unquantised_type
from tvmerge.report.numbers import size

if TYPE_CHECKING:
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.merging.gguf.folder import GgufFile
    from tvmerge.merging.merge import Merge
    from tvmerge.records import Recipe


def gguf_source(models: Merge, recipe: Recipe, record: ChatRecord) -> str:
    """Return what identifies the content of a written model."""
    return digest([dict(models.fingerprint), dict(recipe.weights), record.as_json()])


@dataclass(frozen=True, slots=True)
class GgufOfMerge:
    """The GGUF files of a model that is written without a search.

    Attributes:
        model: The folder of the model.
        tools: The programs and the types; None if no files are wanted.
        overwrite: Whether files of the same names are replaced.
    """

    model: Path
    tools: GgufTools | None
    overwrite: bool = False

    @classmethod
    def opened(cls, model: Path, writing: dict[str, Any], *, overwrite: bool) -> GgufOfMerge:
        """Find the programs that write the files.

        Args:
            model: The folder of the model.
            writing: Settings of how a model is written, from which those of these files are taken out.
            overwrite: Whether files of the same names are replaced.

        Raises:
            ConfigError: A program is missing, or a type is unknown.
        """
        types, place = writing.pop("quantise", ()), writing.pop("llama_cpp", None)
        tools = run_apart(open_tools(types, None if place is None else Path(place))) if types else None
        return cls(model, tools, overwrite)

    def check(self, models: Merge) -> None:
        """Check that the model can be converted and its files written, before anything is.

        Raises:
            ConfigError, CheckpointError: They cannot.
        """
        if self.tools is not None:
            self._folder(models).check()
            run_apart(self.tools.check(models))

    def write(
        self, models: Merge, recipe: Recipe, record: ChatRecord, phase: Callable[[str], object]
    ) -> Iterator[str]:
        """Write the files, and yield a line for each.

        Args:
            models: The merge.
            recipe: The weights of the model.
            record: How its chats are written and end.
            phase: Called with what is being done.

        Raises:
            ConfigError, CheckpointError: A program failed, or the files cannot be written.
        """
        if self.tools is not None:
            folder = self._folder(models, gguf_source(models, recipe, record))
            files = run_apart(folder.write(self.tools, unquantised_type(models), phase))
            yield from map(gguf_line, files)

    def _folder(self, models: Merge, source: str = "") -> GgufFolder:
        return GgufFolder(self.model, source, overwrite=self.overwrite, sources=models.folders)


def gguf_line(file: GgufFile) -> str:
    """Return a line about a file that was written."""
    return f"gguf: {file.path} ({size(file.nbytes)})"
