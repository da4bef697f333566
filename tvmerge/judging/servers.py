"""Servers that speak the protocol of OpenAI, by the names under which they are looked for as providers."""

from __future__ import annotations

from collections.abc import Mapping

_ADDRESSES: Mapping[str, str] = {
    "cerebras": "https://api.cerebras.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "llamacpp": "http://localhost:8080/v1",
    "lmstudio": "http://localhost:1234/v1",
    "mistral": "https://api.mistral.ai/v1",
    "nvidia": "https://integrate.api.nvidia.com/v1",
    "ollama": "http://localhost:11434/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "sglang": "http://localhost:30000/v1",
    "together": "https://api.together.xyz/v1",
    "vllm": "http://localhost:8000/v1",
    "xai": "https://api.x.ai/v1",
}
"""Their addresses; those on this machine with the default port."""

_OTHER_NAMES: Mapping[str, str] = {
    "google": "gemini",
    "googleai": "gemini",
    "googlegenai": "gemini",
    "grok": "xai",
    "llamaserver": "llamacpp",
    "mistralai": "mistral",
    "togetherai": "together",
}

_AZURE = frozenset({"azure", "azureopenai", "azureai"})


def as_openai(provider: str) -> str:
    """Return which settings of a judge file stand for a server; empty if it is not known.

    Args:
        provider: A name that is no provider.
    """
    name = "".join(letter for letter in provider.casefold() if letter.isalnum())
    if name in _AZURE:
        return (
            'provider = "openai" with api_version and the address of your resource, such as '
            'base_url = "https://RESOURCE.openai.azure.com"'
        )
    address = _ADDRESSES.get(_OTHER_NAMES.get(name, name))
    if address is None:
        return ""
    key = "" if address.startswith("http://localhost") else " and its key's variable as api_key_env"
    return f'provider = "openai" with base_url = "{address}"{key}'
