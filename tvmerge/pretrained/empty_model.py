"""Builds the model of a configuration without memory, on torch's `meta` device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

from tvmerge.errors import CheckpointError
from tvmerge.pretrained.architectures import factory_of, stands_alone, text_settings


@dataclass(frozen=True, slots=True)
class EmptyModel:
    """A decoder-only language model without memory.

    Attributes:
        config: Its configuration.
        text: The part of the configuration that describes the decoder.
        stands_alone: Whether transformers has a class for just the decoder.
        model: The model; its tensors are on the `meta` device.
    """

    config: PreTrainedConfig
    text: Any
    stands_alone: bool
    model: PreTrainedModel


def read_empty_model(
    folder: Path,
    name: str,
    stated: Mapping[str, Any],
    *,
    trust_remote_code: bool = False,
    untied: bool = False,
) -> EmptyModel:
    """Build the model in a folder from its configuration; reads no weights.

    Args:
        folder: The model's folder.
        name: The model's name in messages.
        stated: The content of its `config.json`.
        trust_remote_code: Run modelling code from the folder.
        untied: Whether the head has its own weights, even if the configuration ties it.

    Raises:
        CheckpointError: The configuration is not usable, or not of a decoder-only language model.
    """
    try:
        config = AutoConfig.from_pretrained(  # nosec B615  # a folder, so nothing is downloaded
            folder, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # transformers and models' own code raise all kinds of errors
        raise CheckpointError(f"{name}: {_unusable(stated, error, trusted=trust_remote_code)}") from error
    assert isinstance(config, PreTrainedConfig)
    if untied:
        config.tie_word_embeddings = text_settings(config).tie_word_embeddings = False
    return empty_model(config, name, trust_remote_code=trust_remote_code)


def empty_model(config: PreTrainedConfig, name: str, *, trust_remote_code: bool = False) -> EmptyModel:
    """Build the model that `config` describes; see `read_empty_model`."""
    factory = factory_of(config)
    _refuse_other_kinds(config, name, factory)
    try:
        with torch.device("meta"):
            model = factory.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # as above
        raise CheckpointError(f"{name}: transformers cannot build it: {_first_line(error)}") from error
    assert isinstance(model, PreTrainedModel)
    return EmptyModel(config, text_settings(config), stands_alone(config), model)


def _unusable(stated: Mapping[str, Any], error: BaseException, *, trusted: bool) -> str:
    """Return why transformers failed to read a configuration."""
    kind = stated.get("model_type")
    own, known = "auto_map" in stated, isinstance(kind, str) and kind in CONFIG_MAPPING
    if own and not known and not trusted:
        return "brings modelling code of its own; pass --trust-remote-code if you trust it"
    hint = f"; transformers knows {kind}: leave out --trust-remote-code" if own and known and trusted else ""
    return f"its config.json is not usable: {_first_line(error)}{hint}"


def _refuse_other_kinds(config: PreTrainedConfig, name: str, factory: Any) -> None:
    stated = config.architectures
    # Whatever a file says is taken over unchecked.
    named = [text for text in stated if isinstance(text, str)] if isinstance(stated, list) else []
    declared = ", ".join(named) or config.model_type
    refusal = f"{name}: {declared} is not a decoder-only language model"
    if config.is_encoder_decoder:
        raise CheckpointError(f"{refusal}: it has an encoder; only decoder-only models can be merged")
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise CheckpointError(
            f"{refusal}: it fills masks (BERT-like); only decoder-only models can be merged"
        )
    if factory is None:
        raise CheckpointError(
            f"{refusal}: transformers has no causal language model for '{config.model_type}'"
        )


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, with the second if the first ends in a colon."""
    first, _, rest = str(error).strip().partition("\n")
    reason = f" {rest.strip().partition(chr(10))[0]}" if first.endswith(":") else ""
    return f"{first}{reason}" or type(error).__name__
