"""Judge files: a judge's model, server, parameters, limits and prices."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tvmerge._util.encodings import read_text
from tvmerge._util.parsing import parse_toml
from tvmerge._util.suggest import did_you_mean
from tvmerge.errors import AssetError, ConfigError
from tvmerge.judging.providers import PROVIDERS, Provider
from tvmerge.judging.servers import as_openai
from tvmerge.option import FROM_1, REPEATED


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A validated judge file.

    Attributes:
        name: The file's stem; the judge's name in files and reports.
        provider: One of `PROVIDERS`: `openai`, `anthropic`, `cohere`, `local`, `rules`, ...
        model: The provider's name of the model; for `local` a folder or a hub id.
        description: One line for lists.
        aliases: Other names of the judge.
        base_url: Address of its server, if not the provider's own.
        api_version: Makes an `openai` judge an Azure deployment (named by `model`) of this API version.
        api_key_env: Environment variable with the key.
        key_required: Whether a key is needed; a server on this machine needs none.
        parameters: Request parameters, sent unchanged.
        omit_parameters: Request parameters that tvmerge would send but must not.
        structured_output: Whether the provider can enforce a JSON schema, to override the built-in table.
        rpm: Maximum requests per minute; None to learn it from response headers.
        tpm: Maximum tokens per minute, input and output; None to learn it from response headers.
        rpd: Maximum requests per day.
        concurrency: Maximum requests in flight.
        timeout: Timeout of an attempt in seconds, or None for no limit.
        price_input: USD per million input tokens.
        price_output: USD per million output tokens.
        price_batch: Price of a request in a batch, as a fraction of the normal price.
        price_date: The day the prices were read, YYYY-MM-DD.
        retired: The day from which its provider no longer offers the model, YYYY-MM-DD; empty for none.
        successors: Judges to suggest instead from then on.
        samples: Number of independent ratings of each turn.
        device_map: For `local`: the devices of the layers, as in transformers.
        max_memory: For `local`: memory by device, as in transformers.
        dtype: For `local`: `auto`, `float32`, `bfloat16` or `float16`.
        quantization: For `local`: `none` (unchanged), `4bit` or `8bit` to quantize with bitsandbytes on
            loading, or `bitsandbytes` if the checkpoint is already quantized with it.
        batch_size: For `local`: maximum number of prompts in a batch.
        cudnn_attention: For `local`: whether cuDNN may compute attention on GPUs.
    """

    name: str
    provider: str
    model: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    base_url: str = ""
    api_version: str = ""
    api_key_env: str = ""
    key_required: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    omit_parameters: tuple[str, ...] = ()
    structured_output: bool | None = None
    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    concurrency: int | None = None
    timeout: float | None = 120.0
    price_input: float | None = None
    price_output: float | None = None
    price_batch: float = 0.5
    price_date: str = ""
    retired: str = ""
    successors: tuple[str, ...] = ()
    samples: int = 1
    device_map: str | Mapping[str, Any] = "auto"
    max_memory: Mapping[str, str] = field(default_factory=dict)
    dtype: str = "auto"
    quantization: str = "none"
    batch_size: int = 8
    cudnn_attention: bool = False

    @property
    def endpoint(self) -> str:
        """Address of the server without a trailing slash; for `local` this machine."""
        return (self.base_url or PROVIDERS.load(self.provider).endpoint).rstrip("/")

    @property
    def on_server(self) -> bool:
        """Whether it is asked over a network."""
        return bool(PROVIDERS.load(self.provider).endpoint)

    def at(self, base_url: str) -> JudgeSpec:
        """Return the same judge on another server.

        Raises:
            ConfigError: `base_url` is not an address, or the judge is not on a server.
        """
        if not self.on_server:
            raise ConfigError(
                f"the judge '{self.name}' runs on this machine, not on a server; leave out --judge-base-url"
            )
        if not _is_url(base_url):
            raise ConfigError(f"--judge-base-url: {_URL_RULE}")
        return replace(self, base_url=base_url, key_required=not is_loopback(base_url))


def read_spec(path: Path) -> JudgeSpec:
    """Read a judge file.

    Raises:
        AssetError: The file cannot be read, has an unknown key, lacks a key or has an invalid value.
    """
    try:
        table = parse_toml(read_text(path))
    except ValueError as error:
        raise AssetError(f"{path}: not a readable TOML file: {error}") from error
    return _checked(path.name.removesuffix(".toml"), table, str(path))


def spec_for_model(provider: str, model: str) -> JudgeSpec:
    """Return a judge without a file: a provider's model with default settings."""
    name = model.replace("\\", "/").strip("/").rsplit("/", 1)[-1] or provider
    return _checked(name, {"provider": provider, "model": model}, f"--judge {provider}/{model}")


def is_loopback(url: str) -> bool:
    """Return whether the server at `url` is on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_URL_RULE = (
    "an address must read http://host/path or https://host/path, with no space, user, key or query in it"
)


def _is_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    plain = plain and value.isprintable() and " " not in value
    return parts.scheme in ("http", "https") and _is_host(parts.hostname) and plain and port_is_fine


def _is_host(name: str | None) -> bool:
    try:
        # Sockets encode a name like this before looking it up; empty and overlong labels fail.
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: object, most: float = FROM_1[1]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_duration(value: object) -> bool:
    return _is_amount(value) and value != 0


def _is_json_table(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return isinstance(value, dict)


def _one_of(*choices: str) -> tuple[Callable[[object], bool], str]:
    return lambda value: value in choices, "one of " + ", ".join(choices)


_TEXT = (_is_text, "a text")
_TEXTS = (_is_texts, "a list of texts")
_COUNT = (_is_count, f"an integer of at least 1 and at most {FROM_1[1]:,}")
_AMOUNT = (_is_amount, "a number of at least 0")
_TABLE = (lambda value: isinstance(value, dict), "a table")
_FLAG = (lambda value: isinstance(value, bool), "true or false")

_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "provider": _TEXT,
    "model": _TEXT,
    "description": _TEXT,
    "aliases": _TEXTS,
    "base_url": (_is_url, _URL_RULE),
    "api_version": _TEXT,
    "api_key_env": _TEXT,
    "parameters": (_is_json_table, "a table that JSON can hold: no dates, nan or inf"),
    "omit_parameters": _TEXTS,
    "structured_output": _FLAG,
    "rpm": _COUNT,
    "tpm": _COUNT,
    "rpd": _COUNT,
    "concurrency": _COUNT,
    "timeout": (_is_duration, "a number of seconds above 0"),
    "price_input": _AMOUNT,
    "price_output": _AMOUNT,
    "price_batch": (_is_share, "a number from 0 to 1"),
    "price_date": _TEXT,
    "retired": (_is_day, "a day, YYYY-MM-DD"),
    "successors": _TEXTS,
    "samples": (lambda value: _is_count(value, REPEATED[1]), f"an integer from 1 to {REPEATED[1]}"),
    "device_map": (lambda value: isinstance(value, str | dict), "a text or a table"),
    "max_memory": _TABLE,
    "dtype": _one_of("auto", "float32", "bfloat16", "float16"),
    "quantization": _one_of("none", "4bit", "8bit", "bitsandbytes"),
    "batch_size": _COUNT,
    "cudnn_attention": _FLAG,
}


def _checked(name: str, table: Mapping[str, Any], source: str) -> JudgeSpec:
    for key, value in table.items():
        if key not in _RULES:
            meant = did_you_mean(key, _RULES)
            raise AssetError(f"{source}: unknown key '{key}'{meant}; known keys: {', '.join(_RULES)}")
        fits, rule = _RULES[key]
        if not fits(value):
            raise AssetError(f"{source}: '{key}' must be {rule}; got {value!r}")
    if "provider" not in table:
        raise AssetError(
            f"{source}: the key 'provider' is missing; it is one of {', '.join(PROVIDERS.names())}"
        )
    if table["provider"] not in PROVIDERS.names() and (meant := as_openai(table["provider"])):
        raise AssetError(f"{source}: there is no provider '{table['provider']}'; write {meant}")
    try:
        provider = PROVIDERS.load(table["provider"])
    except ConfigError as error:
        raise AssetError(f"{source}: {error}") from error
    if provider.chat is not None and not table.get("model"):
        raise AssetError(f"{source}: the key 'model' is missing; it is the provider's name of the model")
    _refuse_contradictions(table, provider, source)
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    values.setdefault("api_key_env", provider.key_variable)
    values.setdefault("timeout", provider.timeout)
    needs_key = bool(provider.endpoint and values["api_key_env"]) and (
        "api_key_env" in table or not is_loopback(table.get("base_url", ""))
    )
    return JudgeSpec(name=name, key_required=needs_key, **values)


def _refuse_contradictions(table: Mapping[str, Any], provider: Provider, source: str) -> None:
    for name in provider.needed:
        if name in table.get("omit_parameters", ()):
            raise AssetError(
                f"{source}: 'omit_parameters' must not name {name}, which {table['provider']} requires"
            )
    if table.get("api_version") and not table.get("base_url"):
        raise AssetError(
            f"{source}: the key 'base_url' is missing; 'api_version' is for an Azure deployment, which has "
            "its own address"
        )
