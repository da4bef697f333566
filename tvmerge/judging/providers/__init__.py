"""Providers of judges. Each module here is one, and is found by its name.

A new provider is a module that defines `PROVIDER`, a `Provider`: a file in this folder, or one of an
installed package, which names it as an entry point:

    [project.entry-points."tvmerge.judges"]
    acme = "my_package.acme"

Then `--judge acme/MODEL` asks a model of it, and so does a judge file with `provider = "acme"`. The module is
loaded to read that file, so it imports its SDK where it is used. What is set of it stands in the judge file;
the table `parameters` is the provider's own.

Most providers are a class of chat models (`tvmerge.judging.client.chat.ChatModel`): `request` builds exactly
the body that is sent, since the cache's key is made of it; `send` sends it once, with the SDK's own retries
turned off, and translates every error into those of `tvmerge.errors`, none of which may hold the key.
Prompts, cache, retries, limits and money come from `tvmerge.judging.client`. What providers over HTTP have in
common is in `tvmerge.judging.wire`.

A study's fingerprint has the provider's name, the model, the parameters and, of an installed package, the
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
    """What a module of a provider defines: `chat` or `judge`, and what is known without loading its SDK.

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
