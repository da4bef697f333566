"""Writes the GGUF files of a merged model into a folder beside it, one by one.

The folder contains `tvmerge.json`, which names its owner, its files and the model they were made from. A file
is written under another name and renamed when it is complete, so a killed run loses the file in work only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import safe_name, write_json
from tvmerge._version import __version__
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.folders import MARKER, check_replaceable, read_marker
from tvmerge.merging.export.replacement import locked_place, sync, translated
from tvmerge.merging.gguf.programs import CONVERTER, QUANTIZER, Command, output_of, reason
from tvmerge.merging.gguf.tools import GgufTools, is_gguf
from tvmerge.merging.gguf.types import FULL

if TYPE_CHECKING:
    pass

_PART = ".part"
"""What the name of a file that is not complete ends in."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A GGUF file of a merged model.

    Attributes:
        type: Its type, such as `Q4_K_M`.
        path: Where it is.
        nbytes: Its size.
    """

    type: str
    path: Path
    nbytes: int


def gguf_folder(model: Path) -> Path:
    """Return the folder of the GGUF files of the model in a folder."""
    return model.with_name(f"{model.name}-gguf")


@dataclass(frozen=True, slots=True)
class GgufFolder:
    """The folder of a model's GGUF files.

    Attributes:
        model: The folder of the model.
        source: Identifies the model's content; files of the same source are kept.
        owner: The study's identity; files of the same owner are replaced.
        overwrite: Whether other files of the same names are replaced.
        sources: Folders that must not be replaced.
    """

    model: Path
    source: str = ""
    owner: str | None = None
    overwrite: bool = False
    sources: tuple[Path, ...] = field(default=())

    @property
    def place(self) -> Path:
        """The folder."""
        return gguf_folder(self.model)

    def file(self, kind: str) -> Path:
        """Return the file of a type."""
        return self.place / f"{safe_name(self.model.name)}-{kind}.gguf"

    def check(self) -> None:
        """Check that files may be written.

        Raises:
            CheckpointError: The folder holds something that must not be replaced.
        """
        check_replaceable(self.place, self.owner, overwrite=self.overwrite, sources=self.sources)

    async def write(
        self, tools: GgufTools, unquantised: str, phase: Callable[[str], object]
    ) -> tuple[GgufFile, ...]:
        """Write a file of each type, keeping those that are complete.

        Args:
            tools: The programs and the types.
            unquantised: The type of the file that the others are made from, which is removed in the end
                unless it is one of the types.
            phase: Called with what is being done.

        Raises:
            CheckpointError: The folder may not be replaced or cannot be written, or a program failed.
            ConfigError: A program cannot be started.
        """
        with locked_place(self.place), translated(self.place):
            self.check()
            self._begin([unquantised, *tools.types])
            complete = self._complete()
            missing = [kind for kind in tools.types if kind not in complete]
            needed = [] if all(kind in FULL for kind in missing) else [unquantised]
            for kind in dict.fromkeys([*needed, *missing]):
                if kind in FULL and kind not in complete:
                    phase(f"converting the model to GGUF ({kind})")
                    await self._make(kind, self._conversion(tools, kind), CONVERTER)
                elif kind not in FULL:
                    phase(f"quantising the model to {kind}")
                    await self._make(kind, self._quantising(tools, unquantised, kind), QUANTIZER)
            if unquantised not in tools.types:
                self.file(unquantised).unlink(missing_ok=True)
            return tuple(GgufFile(k, self.file(k), self.file(k).stat().st_size) for k in tools.types)

    def _begin(self, kinds: Iterable[str]) -> None:
        """Remove the files of another model and incomplete ones, and claim the folder."""
        marker = read_marker(self.place)
        same = marker.get("source") == self.source
        for name in marker.get("files", ()):
            if not same or name.endswith(_PART):
                (self.place / Path(name).name).unlink(missing_ok=True)
        names = [self.file(kind).name for kind in dict.fromkeys(kinds)]
        files = [*names, *(name + _PART for name in names)]
        before = marker.get("files", ()) if same else ()
        self.place.mkdir(parents=True, exist_ok=True)
        self._mark(marker.get("complete", {}) if same else {}, list(dict.fromkeys([*before, *files])))

    def _mark(self, complete: dict[str, int], files: list[str]) -> None:
        content = {"owner": self.owner, "files": files, "source": self.source, "complete": complete}
        write_json(self.place / MARKER, {"tvmerge": __version__, **content})

    def _complete(self) -> frozenset[str]:
        """Return the types of the files that are complete."""
        known: dict[str, Any] = read_marker(self.place).get("complete", {})
        found = set()
        for kind, size in known.items():
            with suppress(OSError):
                if self.file(kind).stat().st_size == size:
                    found.add(kind)
        return frozenset(found)

    async def _make(self, kind: str, command: Command, program: str) -> None:
        """Have a program write the file of a type, and note that it is complete."""
        file, part = self.file(kind), self._part(kind)
        part.unlink(missing_ok=True)
        code, printed = await output_of(command)
        if code or not is_gguf(part):
            part.unlink(missing_ok=True)
            raise CheckpointError(f"{file}: llama.cpp's {program} failed: {reason(printed)}")
        sync(part)
        size = part.stat().st_size
        part.replace(file)
        marker = read_marker(self.place)
        self._mark({**marker["complete"], kind: size}, marker["files"])

    def _conversion(self, tools: GgufTools, kind: str) -> Command:
        out, model = str(self._part(kind).absolute()), str(self.model.absolute())
        return (*tools.converter, "--outtype", FULL[kind], "--outfile", out, model)

    def _quantising(self, tools: GgufTools, unquantised: str, kind: str) -> Command:
        assert tools.quantizer is not None, "a type is quantised"
        whole, out = str(self.file(unquantised).absolute()), str(self._part(kind).absolute())
        return (*tools.quantizer, whole, out, kind)

    def _part(self, kind: str) -> Path:
        file = self.file(kind)
        return file.with_name(file.name + _PART)
