"""Reads a model's configuration for the transformers engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from tvmerge._util.files import folder_name
from tvmerge.errors import CheckpointError


def read_config(folder: Path, *, trust_remote_code: bool) -> Any:
    """Return a model's configuration, as transformers reads it but without quantisation settings.

    Only models of floats are merged. A fine-tuned model may still have the settings of the quantised model it
    was trained from, and transformers would quantise it again.

    Raises:
        CheckpointError: The configuration cannot be read.
    """
    try:
        config = AutoConfig.from_pretrained(  # nosec B615  # a folder, so nothing is downloaded
            folder, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{folder_name(folder)}: the configuration cannot be read: {first_line}"
        ) from error
    for part in (config, config.get_text_config()):
        vars(part).pop("quantization_config", None)
    return config
