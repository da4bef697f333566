"""The types of GGUF files: those that the installed quantizer lists, with the size it states for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tvmerge._util.suggest import did_you_mean
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.programs import Command, output_of, reason

FULL = {"BF16": "bf16", "F16": "f16", "F32": "f32"}
"""Types without quantisation, which the converter writes, by the codes that safetensors uses, too."""

# `  15  or  Q4_K_M  :  4.58G, +0.1754 ppl @ Llama-3-8B`
_ROW = re.compile(r"^\s*\d+\s+or\s+([A-Z][A-Z0-9_]*)\s*:\s*(.*?)\s*$", re.MULTILINE)
_ALIAS = re.compile(r"alias for (\w+)")
_BITS = re.compile(r"([\d.]+)\s+bpw")
_BYTES = re.compile(r"([\d.]+)G\b.*?@\D*(?:[\d.]+-)?([\d.]+)B\b")


async def listed_types(quantizer: Command) -> dict[str, float]:
    """Return the types that a quantizer knows, each with its bits per weight; nan where it does not say.

    Raises:
        ConfigError: The quantizer cannot be started, or it lists none.
    """
    _, printed = await output_of(quantizer, "--help")
    rows = dict(_ROW.findall(printed))
    if not rows:
        raise ConfigError(f"{quantizer[-1]} lists no types of quantisation: {reason(printed)}")
    return {name: _bits(name, rows) for name in rows}


def _bits(name: str, rows: Mapping[str, str]) -> float:
    text = rows[name]
    if (alias := _ALIAS.search(text)) is not None and alias[1] in rows and alias[1] != name:
        return _bits(alias[1], rows)
    if (stated := _BITS.search(text)) is not None:
        return float(stated[1])
    if (example := _BYTES.search(text)) is not None:
        return float(example[1]) * 2**30 * 8 / (float(example[2]) * 10**9)
    return float("nan")


def chosen(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the types as the quantizer spells them, each once.

    Raises:
        ConfigError: The quantizer does not know one.
    """
    found = []
    for name in wanted:
        if name.upper() not in known:
            raise ConfigError(
                f"--quantise {name}: llama-quantize knows no such type{did_you_mean(name.upper(), known)}; "
                f"it lists {', '.join(known)}"
            )
        found.append(name.upper())
    return tuple(dict.fromkeys(found))
