"""Finds the transformers class for a configuration that has all of the model's weights.

A multimodal model is built as a whole, never as the text model inside it, so that its tensors match those of
the files.
"""

from __future__ import annotations

from typing import Any


def factory_of(config: Any) -> Any:
    """Return the auto class (`from_config`, `from_pretrained`) of the whole model that `config` describes.

    Returns:
        The class; None if neither transformers nor the model's remote code has one that generates text.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM

    factories: tuple[Any, ...] = (AutoModelForMultimodalLM, AutoModelForCausalLM)
    own_code = getattr(config, "auto_map", None) or {}
    own: tuple[Any, ...] = (*factories, AutoModelForImageTextToText)
    native = (factory for factory in factories if type(config) in factory._model_mapping)
    return next(native, None) or next((factory for factory in own if factory.__name__ in own_code), None)


def stands_alone(config: Any) -> bool:
    """Return whether transformers has a class for the decoder of `config` alone."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    return type(text_settings(config)) in factory._model_mapping


def text_settings(config: Any) -> Any:
    """Return the part of a configuration that describes the decoder; that of a text model is all of it.

    Raises:
        ValueError: There are several such parts, and none is marked as the decoder.
    """
    return config.get_text_config(decoder=True)
