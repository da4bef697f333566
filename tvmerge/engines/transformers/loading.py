"""Loads a model for the transformers engine, whatever its weights are: all of them are overwritten later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from tvmerge._util.files import folder_name
from tvmerge.engines.transformers.memory import out_of_memory
from tvmerge.errors import CheckpointError
from tvmerge.pretrained.architectures import factory_of
from tvmerge.pretrained.out_of_memory import ran_out

_log: Any = logging


def load_model(
    folder: Path,
    config: Any,
    *,
    device: str,
    dtype: torch.dtype,
    trust_remote_code: bool,
    new_model: Callable[[], Any] | None,
) -> Any:
    """Load the model in `folder`.

    Args:
        folder: The model.
        config: Its configuration.
        device: Where it goes.
        dtype: The dtype it computes in.
        trust_remote_code: Whether the model may bring its own code.
        new_model: Creates the model instead, if its configuration is not the folder's.

    Raises:
        CheckpointError: It cannot be loaded, or does not fit into memory.
    """
    _log.disable_progress_bar()
    try:
        if new_model is not None:
            return new_model()
        return _from_folder(folder, config, dtype, trust_remote_code=trust_remote_code).to(device)
    except MemoryError as error:
        raise out_of_memory(folder, device, "to load the model; pass") from error
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
        if ran_out(error):
            raise out_of_memory(folder, device, "to load the model; pass") from error
        first_line = str(error).strip().split("\n")[0]
        # The message is only the name of a key.
        kind = f"{type(error).__name__}: " if isinstance(error, LookupError) else ""
        raise CheckpointError(
            f"{folder_name(folder)}: transformers cannot load the model: {kind}{first_line}"
        ) from error


def _from_folder(folder: Path, config: Any, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:
    verbosity = _log.get_verbosity()
    # Warnings of unknown tensors do not matter: every weight is overwritten later, or reported missing.
    _log.set_verbosity_error()
    try:
        return factory_of(config).from_pretrained(
            folder, config=config, dtype=dtype, trust_remote_code=trust_remote_code
        )
    finally:
        _log.set_verbosity(verbosity)
