"""Checks that judges can be asked, before any model is loaded and without a paid call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from os import environ
from typing import Any

from tvmerge._util.printable import printable
from tvmerge.errors import ConfigError, CredentialsError, MissingExtraError
from tvmerge.judging.providers import PROVIDERS
from tvmerge.judging.spec import JudgeSpec, is_loopback

REACH_SECONDS = 10.0
"""Seconds in which the user's own server must have sent the headers of a reply."""


def check_ready(spec: JudgeSpec, env: Mapping[str, str] = environ, *, reach: bool = True) -> None:
    """Check that SDK and key exist, that the user's own server responds, and that a local model exists.

    Args:
        spec: The judge.
        env: The environment with the keys.
        reach: Whether to try the user's own server (any HTTP status counts as a response) and, for a model
            on this machine, the hub. A provider's own address is never tried.

    Raises:
        MissingExtraError: A package is not installed.
        CredentialsError: The key's variable is not set.
        ConfigError: Nothing answers at `base_url`.
        CheckpointError: A local model is neither a folder nor available on the hub.
    """
    check_packages(spec)
    api_key(spec, env)
    if spec.base_url and reach:
        _reach(spec)
    if reach and (ready := PROVIDERS.load(spec.provider).ready) is not None:
        ready(spec)


def check_offered(spec: JudgeSpec, today: date) -> None:
    """Reject a judge whose provider no longer offers the model; another server may still have it.

    Raises:
        ConfigError: The date in the judge's file has passed; the message names judges to use instead.
    """
    if spec.base_url or not spec.retired or today < date.fromisoformat(spec.retired):
        return
    instead = " or ".join(f"--judge {name}" for name in spec.successors) or "another judge"
    raise ConfigError(
        f"the judge '{spec.name}': its provider shut {spec.model} down on {spec.retired}; use {instead} "
        f"(ratings of two judges are not comparable), or say with --judge-base-url which server still has it"
    )


def check_batched(specs: Sequence[JudgeSpec]) -> None:
    """Reject judges without a batch endpoint; rule-based judges make no calls.

    Raises:
        ConfigError: A judge has no batch endpoint, or no judge makes calls.
    """
    for spec in specs:
        provider = PROVIDERS.load(spec.provider)
        if not (provider.batches or provider.judge) or spec.api_version:
            what = "an Azure deployment" if spec.api_version else f"of the provider '{spec.provider}'"
            raise ConfigError(
                f"the judge '{spec.name}' is {what}, which has no batches: leave out --judge-batch, or "
                f"use a judge with a provider of {_with_batches()}"
            )
    if all(PROVIDERS.load(spec.provider).judge for spec in specs):
        raise ConfigError(
            f"the judge '{specs[0].name}' makes no calls, so --judge-batch has no effect: leave it out"
        )


def check_together(specs: Sequence[JudgeSpec]) -> None:
    """Reject judges none of which is asked, so that turns cannot be rated in one request.

    Raises:
        ConfigError: No judge makes calls.
    """
    if all(PROVIDERS.load(spec.provider).judge for spec in specs):
        raise ConfigError(
            f"the judge '{specs[0].name}' makes no calls, so --judge-turns together has no effect: leave it "
            "out"
        )


def _with_batches() -> str:
    return ", ".join(name for name in PROVIDERS.names() if PROVIDERS.load(name).batches)


def check_packages(spec: JudgeSpec) -> None:
    """Check that the packages that the provider imports are installed.

    Raises:
        MissingExtraError, ConfigError: A package is not installed.
    """
    provider = PROVIDERS.load(spec.provider)
    further = () if provider.more_packages is None else provider.more_packages(spec)
    for package in (*provider.packages, *further):
        if find_spec(package) is not None:
            continue
        if origin := PROVIDERS.origin(spec.provider):
            raise ConfigError(
                f"the package '{package}' is not installed, which the provider '{spec.provider}' of {origin} "
                f"needs; run: pip install {package}"
            )
        raise MissingExtraError(package, spec.provider)


def api_key(spec: JudgeSpec, env: Mapping[str, str] = environ) -> str:
    """Return the key from the environment; empty if none is set and none is needed.

    Raises:
        CredentialsError: The variable, named in the message, is needed but not set, or is not a valid key.
    """
    key = env.get(spec.api_key_env, "").strip()
    if not key and spec.key_required:
        raise CredentialsError(
            f"the judge '{spec.name}' needs an API key: set the environment variable {spec.api_key_env}, "
            "or choose another judge with --judge (`tvmerge doctor` shows which keys are set)"
        )
    if not (key.isascii() and key.isprintable()):
        raise CredentialsError(
            f"the environment variable {spec.api_key_env} contains characters that no API key has: copy "
            "it again"
        )
    return key


def _reach(spec: JudgeSpec) -> None:
    # The HTTP library of the provider's SDK, so that proxies and certificates are the same.
    library = PROVIDERS.load(spec.provider).http
    if not library:
        return
    http: Any = import_module(library)
    try:
        with ThreadPoolExecutor(1) as thread:  # since an event loop may be running in this one
            thread.submit(asyncio.run, _headers_of(http, spec.endpoint)).result()
    # ImportError: a SOCKS proxy is set and the package for it is missing.
    except (http.TransportError, http.InvalidURL, ImportError, ValueError, TimeoutError) as error:
        cure = "start the server, or correct" if is_loopback(spec.endpoint) else "check the network,"
        said = printable(str(error)) or f"no headers within {REACH_SECONDS:g} s"
        raise ConfigError(
            f"the judge '{spec.name}': nothing answers at {spec.endpoint} ({said}); {cure} base_url or the "
            "proxy"
        ) from error


async def _headers_of(http: Any, endpoint: str) -> None:
    """Wait for the headers of a reply; its body is not read, and no redirect is followed."""
    async with (
        asyncio.timeout(REACH_SECONDS),
        http.AsyncClient(timeout=REACH_SECONDS) as client,
        client.stream("GET", endpoint, follow_redirects=False),
    ):
        pass
