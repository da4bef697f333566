"""The programs that write GGUF files, checked before a run begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.programs import (
    CONVERTER,
    QUANTIZER,
    Command,
    find_program,
    output_of,
    reason,
)
from tvmerge.merging.gguf.types import FULL, chosen, listed_types

if TYPE_CHECKING:
    from tvmerge.merging.merge import Merge

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


@dataclass(frozen=True, slots=True)
class GgufTools:
    """The programs that write GGUF files, and the types of file that are wanted.

    Attributes:
        types: The types, as the quantizer spells them.
        converter: Writes a GGUF file of a model's folder.
        quantizer: Quantises such a file; None if no type needs it.
        bits: Bits per weight of each type; nan where the quantizer does not say.
    """

    types: tuple[str, ...]
    converter: Command
    quantizer: Command | None = None
    bits: Mapping[str, float] = field(default_factory=dict)

    def sizes(self, models: Merge) -> dict[str, int]:
        """Return about how many bytes each file has, by its type, that of the unquantised file first.

        A type without a stated size counts as unquantised.
        """
        whole = models.nbytes(experts=False)
        numbers = sum(math.prod(spec.shape) for spec in models.merger.specs.values())
        quantised = {
            name: whole if math.isnan(bits := self._bits(name)) else round(numbers * bits / 8)
            for name in self.types
        }
        return {unquantised_type(models): whole, **quantised}

    def _bits(self, name: str) -> float:
        return float(FULL[name][-2:]) if name in FULL else self.bits.get(name, math.nan)

    async def check(self, models: Merge) -> None:
        """Check that the converter knows the model's architecture and its tokenizer.

        Only the tokenizer is converted, into a folder that is removed again.

        Raises:
            ConfigError: It does not.
        """
        from tvmerge.merging.export.writer import write_skeleton

        with TemporaryDirectory(prefix="tvmerge-") as scratch:
            folder, file = Path(scratch) / "model", Path(scratch) / "vocabulary.gguf"
            folder.mkdir()
            config = models.config or models.donor.changed or models.donor.config
            write_skeleton(folder, models.donor, models.merger.specs, config)
            code, printed = await output_of(
                self.converter, "--vocab-only", "--outfile", str(file), str(folder)
            )
            if code or not is_gguf(file):
                raise ConfigError(_refusal(models.donor.name, reason(printed)))


async def open_tools(types: Sequence[str], folder: Path | None) -> GgufTools:
    """Find the programs that write files of these types.

    Args:
        types: The types, in any case.
        folder: A folder of llama.cpp that is searched first; None searches only the environment.

    Raises:
        ConfigError: A program is not installed, or the quantizer does not know one of the types.
    """
    converter = find_program(CONVERTER, folder)
    if all(name.upper() in FULL for name in types):
        return GgufTools(chosen(types, tuple(FULL)), converter)
    quantizer = find_program(QUANTIZER, folder)
    bits = await listed_types(quantizer)
    return GgufTools(chosen(types, tuple(bits)), converter, quantizer, bits)


def _refusal(model: str, why: str) -> str:
    """Return what to say of a converter that failed: it lacks a package, or does not know the model."""
    if missing := _MISSING.search(why):
        package = missing[1].partition(".")[0]
        return (
            f"llama.cpp's {CONVERTER} needs the Python package {package}, which is not installed where it "
            f"runs (pip install {package})"
        )
    return f"llama.cpp's {CONVERTER} does not convert {model}, so --quantise cannot be used with it: {why}"


def unquantised_type(models: Merge) -> str:
    """Return the type of the file that is converted without loss: that of the model's tensors."""
    formats = {spec.dtype for spec in models.merger.specs.values() if spec.dtype in FULL}
    return formats.pop() if len(formats) == 1 else "F32"


def is_gguf(file: Path) -> bool:
    """Return whether a file exists and begins as a GGUF file does."""
    try:
        with file.open("rb") as opened:
            return opened.read(4) == b"GGUF"
    except OSError:
        return False
