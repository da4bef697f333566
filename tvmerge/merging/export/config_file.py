"""Writes the `config.json` of a merged model: that of its donor, without what does not apply to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import write_text
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.contents import CONFIGURATIONS, stated_in
from tvmerge.merging.checkpoints.quantised import without_marks
from tvmerge.merging.dtypes import FLOATS, torch_name

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.checkpoint import Checkpoint
    from tvmerge.merging.checkpoints.shards import TensorSpec

_CODE = "auto_map"
"""The key of a `config.json` that names a model's remote code."""


def write_config(
    folder: Path, donor: Checkpoint, specs: Mapping[str, TensorSpec], config: Mapping[str, Any] | None = None
) -> None:
    """Write the `config.json` of a merged model, identical to the donor's unless something changes.

    Args:
        folder: The merged model's folder.
        donor: The model that gives the configuration.
        specs: The tensors of the merged model.
        config: Its content, if it is not the donor's.
    """
    content = _without_untrusted_code(without_marks(config or donor.changed or donor.config), donor)
    content |= _format(content, specs)
    if content == donor.config:
        shutil.copyfile(donor.folder / layout.CONFIG, folder / layout.CONFIG)
        return
    # NaN and infinities as Python writes them, which is how transformers up to version 4 wrote them: every
    # version reads them, and a file that had them in another way keeps that.
    write_text(folder / layout.CONFIG, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def drop_untrusted_code(folder: Path) -> None:
    """Remove references to code that was not copied from the other configurations of a written model."""
    for path in (folder / name for name in CONFIGURATIONS):
        if _CODE in (content := stated_in(path)):
            del content[_CODE]
            write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _without_untrusted_code(config: Mapping[str, Any], donor: Checkpoint) -> dict[str, Any]:
    """Return the configuration without references to untrusted code, which is not copied."""
    return {key: value for key, value in config.items() if key != _CODE or donor.trust_remote_code}


def _format(config: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> dict[str, str]:
    formats = {spec.dtype for spec in specs.values() if spec.dtype in FLOATS}
    if len(formats) != 1:
        return {}
    name = torch_name(formats.pop())
    # transformers wrote `torch_dtype` up to version 4; both names are read.
    return {key: name for key in ("dtype", "torch_dtype") if key in config} or {"dtype": name}
