"""The GGUF files of a written model: what is checked before, and how they are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.canonical import digest
from tvmerge._util.threads import run_apart
from tvmerge.engines.llama_server.server import server_version
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.folder import GgufFolder
from tvmerge.merging.gguf.programs import SERVER, Command, find_program
from tvmerge.merging.gguf.tools import GgufTools, open_tools, unquantised_type
from tvmerge.report.numbers import size

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.merging.gguf.folder import GgufFile
    from tvmerge.merging.merge import Merge
    from tvmerge.records import Question, Recipe
    from tvmerge.tasks.suite import TaskSuite


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


@dataclass(frozen=True, slots=True)
class WinnerGguf:
    """What writes a run's winner as GGUF files and answers with them.

    Attributes:
        tools: The programs that write the files, and the types.
        server: The command that runs llama-server.
        version: Its version.
    """

    tools: GgufTools
    server: Command
    version: str


def find_gguf(config: RunConfig, suite: TaskSuite, holdout: Sequence[Question]) -> WinnerGguf | None:
    """Find the programs for a run's GGUF files; return None if it writes none.

    Raises:
        ConfigError: A program is missing, a type is unknown, or a file cannot be asked the run's questions.
    """
    if not config.quantise:
        return None
    if not holdout:
        raise ConfigError(
            "--quantise scores the winner's files on held-out questions, and none are held out; hold some "
            "out (--holdout), or write the files afterwards with tvmerge merge --run-dir"
        )
    if suite.tasks:
        names = ", ".join(name for tasks in suite.tasks for name in tasks.names)
        raise ConfigError(
            f"--quantise cannot score the winner's files on tasks ({names}), which need likelihoods that "
            "llama-server does not give; write the files afterwards with tvmerge merge --run-dir"
        )
    place = None if config.llama_cpp is None else Path(config.llama_cpp)
    tools, server = run_apart(open_tools(config.quantise, place)), find_program(SERVER, place)
    return WinnerGguf(tools, server, run_apart(server_version(server)))
