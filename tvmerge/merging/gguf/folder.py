"""Writes the GGUF files of a merged model into a folder beside it, one by one.

The folder contains `tvmerge.json`, which names its owner, its files and the model they were made from. A file
is written under another name and renamed when it is complete, so a killed run loses the file in work only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvmerge._util.files import safe_name, write_json
from tvmerge._version import __version__
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.folders import MARKER, check_replaceable, read_marker, written_files
from tvmerge.merging.export.replacement import locked_place, sync, translated
from tvmerge.merging.gguf.programs import CONVERTER, QUANTIZER, Command, output_of, reason
from tvmerge.merging.gguf.tools import GgufTools, is_gguf
from tvmerge.merging.gguf.types import FULL

_GGUF, _PART = ".gguf", ".gguf.part"
"""What the names of files end in, and those of files that are not complete."""

_COMPLETE = "complete"
"""The key of a marker with the sizes of complete files by type, which markers of models do not have."""


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
        return self.place / f"{safe_name(self.model.name)}-{kind}{_GGUF}"

    def check(self) -> None:
        """Check that files may be written.

        Raises:
            CheckpointError: The folder holds something that must not be replaced.
        """
        check_replaceable(self.place, self.owner, overwrite=self.overwrite, sources=self.sources)
        marker = read_marker(self.place)
        if marker and _COMPLETE not in marker:
            raise CheckpointError(
                f"{self.place} is for GGUF files, but holds a model; move it away, or choose another "
                "--output-dir"
            )

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
            complete = self._complete([unquantised, *tools.types])
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
        before = [name for name in written_files(marker) if name.endswith((_GGUF, _PART))]
        self.place.mkdir(parents=True, exist_ok=True)
        for path in self.place.iterdir():
            if path.name in before and (not same or path.name.endswith(_PART)):
                path.unlink()
        names = [self.file(kind).name for kind in dict.fromkeys(kinds)]
        files = [*(before if same else ()), *names, *(name.removesuffix(_GGUF) + _PART for name in names)]
        self._mark(_sizes(marker) if same else {}, list(dict.fromkeys(files)))

    def _mark(self, complete: Mapping[str, int], files: list[str]) -> None:
        content = {"owner": self.owner, "files": files, "source": self.source, _COMPLETE: complete}
        write_json(self.place / MARKER, {"tvmerge": __version__, **content})

    def _complete(self, kinds: Iterable[str]) -> frozenset[str]:
        """Return which of some types have a file that is complete."""
        sizes, found = _sizes(read_marker(self.place)), set()
        for kind in kinds:
            with suppress(OSError):
                if self.file(kind).stat().st_size == sizes.get(kind):
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
        self._mark({**_sizes(marker), kind: size}, written_files(marker))

    def _conversion(self, tools: GgufTools, kind: str) -> Command:
        out, model = str(self._part(kind).absolute()), str(self.model.absolute())
        return (*tools.converter, "--outtype", FULL[kind], "--outfile", out, model)

    def _quantising(self, tools: GgufTools, unquantised: str, kind: str) -> Command:
        assert tools.quantizer is not None, "a type is quantised"
        whole, out = str(self.file(unquantised).absolute()), str(self._part(kind).absolute())
        return (*tools.quantizer, whole, out, kind)

    def _part(self, kind: str) -> Path:
        file = self.file(kind)
        return file.with_suffix(_PART)


def _sizes(marker: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of complete files by type that a marker lists."""
    sizes = marker.get(_COMPLETE)
    return (
        {kind: size for kind, size in sizes.items() if type(size) is int} if isinstance(sizes, dict) else {}
    )
