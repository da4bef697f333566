"""Finds the transformers class for a configuration: the one that has a place for every weight.

A model that also sees or hears is built whole, as transformers' class for several modalities, never as the
text model inside it: what the files hold is then what the class has.
"""

from __future__ import annotations

from typing import Any


def factory_of(config: Any) -> Any:
    """The auto class (`from_config`, `from_pretrained`) of the whole model that `config` describes.

    Returns:
        None where neither transformers nor code that comes with the model has a class that continues text.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM

    factories: tuple[Any, ...] = (AutoModelForMultimodalLM, AutoModelForCausalLM)
    own_code = getattr(config, "auto_map", None) or {}
    own: tuple[Any, ...] = (*factories, AutoModelForImageTextToText)
    native = (factory for factory in factories if type(config) in factory._model_mapping)
    return next(native, None) or next((factory for factory in own if factory.__name__ in own_code), None)


def stands_alone(config: Any) -> bool:
    """Whether transformers has a class for models that are just the decoder which `config` describes."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    return type(text_settings(config)) in factory._model_mapping


def text_settings(config: Any) -> Any:
    """The part of a configuration that describes the decoder: of a text model the configuration itself.

    Raises:
        ValueError: There are several, and none is marked as the decoder.
    """
    return config.get_text_config(decoder=True)
