"""Providers of judges. Each module here is a provider, found by its name.

A new provider is a module that defines `PROVIDER`, a `Provider`. It is a file in this folder, or a module of
an installed package that declares it as an entry point:

    [project.entry-points."tvmerge.judges"]
    acme = "my_package.acme"

Then `--judge acme/MODEL` and a judge file with `provider = "acme"` use it. Since the module is loaded to read
that file, it should import its SDK only on use. Its settings are in the judge file; the table `parameters` is
passed to the provider.

Most providers define a chat model (`tvmerge.judging.client.chat.ChatModel`): `request` builds exactly the
body that is sent, since the cache's key is computed from it; `send` sends it once, with the SDK's own retries
turned off, and translates every error into one of `tvmerge.errors`, which must not contain the key. Prompts,
cache, retries, limits and budget come from `tvmerge.judging.client`. Code shared by HTTP providers is in
`tvmerge.judging.wire`. With `--max-cost`, one of `LENGTH_PARAMETERS` (`tvmerge.judging.client.tokens`) at the
top of the body must limit the reply's length, or nothing bounds what a call costs.

A study's fingerprint has the provider's name, the model, the parameters and, for an installed package, its
version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    from tvmerge.judging.client.chat import ChatModel
    from tvmerge.protocols import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider: `chat` or `judge`, and its properties, available without loading its SDK.

    Attributes:
        chat: Makes a chat model from a `JudgeSpec` and an API key (empty if none is set and none is needed).
        judge: Makes a judge from a `JudgeSpec` that rates without prompts or a model.
        scale: Lowest and highest rating of `judge`; a chat model's depend on the prompts.
        endpoint: Default address of its server; empty if it runs on this machine.
        key_variable: Default environment variable of its key.
        packages: Packages it imports. For tvmerge's own providers, the extra of the same name installs them.
        more_packages: Returns additional packages that the settings in a `JudgeSpec` need.
        ready: Raises `UserError` if the model in a `JudgeSpec` is not available. Must be free of charge;
            called before a run loads anything.
        memory: Returns the bytes that its model will take on each device, such as `cpu` or `cuda:0`, given a
            `JudgeSpec` and the number of GPUs of this machine.
        http: HTTP library of its SDK, with which the user's own server is tried before a run; empty for none.
        needed: Request parameters that no judge file may omit.
        timeout: Default timeout of an attempt in seconds; None for no limit.
        batches: Whether its chat models have a batch endpoint (`tvmerge.judging.batch.api.Batched`).
        joins_requests: Whether it answers up to `batch_size` requests at once, so that as many are sent.
        identity: Returns what of a `JudgeSpec` affects ratings, besides the model's name and the parameters.
    """

    chat: Callable[..., ChatModel] | None = None
    judge: Callable[..., Judge] | None = None
    scale: tuple[float, float] = (1.0, 10.0)
    endpoint: str = ""
    key_variable: str = ""
    packages: tuple[str, ...] = ()
    more_packages: Callable[..., tuple[str, ...]] | None = None
    ready: Callable[..., None] | None = None
    memory: Callable[..., Mapping[str, int]] | None = None
    http: str = ""
    needed: tuple[str, ...] = ()
    timeout: float | None = 120.0
    batches: bool = False
    joins_requests: bool = False
    identity: Callable[..., dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if (self.chat is None) is (self.judge is None):
            raise TypeError("a provider has chat models or rates by itself: give chat or judge")


PROVIDERS = Plugins(
    what="provider", kind=Provider, attribute="PROVIDER", package=__name__, group="tvmerge.judges"
)
