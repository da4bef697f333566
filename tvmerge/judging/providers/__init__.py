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
`tvmerge.judging.wire`.

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
        chat: From a `JudgeSpec` and an API key (empty where none is set and none is needed) to a chat model.
        judge: From a `JudgeSpec` to a judge that rates by itself, without prompts. It asks no model.
        scale: Lowest and highest rating of `judge`; those of a chat model are the prompts'.
        endpoint: Where its server listens unless a judge file says otherwise; empty: it runs on this machine.
        key_variable: Environment variable that holds its key unless a judge file names another.
        packages: What it imports. Of tvmerge's own providers, the extra of the same name installs it.
        more_packages: From a `JudgeSpec` to what else its settings need.
        ready: Raises `UserError` where a `JudgeSpec` names a model that cannot be had; free of charge, and
            called before a run loads anything.
        memory: From a `JudgeSpec` and how many GPUs this machine has to the bytes that its model will take on
            each device, such as `cpu` or `cuda:0`.
        http: The HTTP library of its SDK, by which a user's own server is tried before a run; empty: not.
        needed: Request parameters that no judge file may leave out.
        timeout: Seconds an attempt may take unless a judge file says otherwise; None: as long as it takes.
        batches: Its chat models have a batch endpoint (`tvmerge.judging.batch.api.Batched`).
        joins_requests: It generates for up to `batch_size` requests at once, so it is sent as many.
        identity: What of a `JudgeSpec` decides its ratings beside the name of the model and the parameters.
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
