"""The wrappers in their order, from the outermost: what costs nothing comes before what costs.

cache, single flight -> re-asks -> concurrency -> retries -> provider
"""

from __future__ import annotations

from tvmerge.cache import ContentCache
from tvmerge.judging.cache import CachedChat
from tvmerge.judging.chat import ChatModel
from tvmerge.judging.concurrency import Gate, GatedChat
from tvmerge.judging.reask import ReaskingChat
from tvmerge.judging.retry import RetryingChat

CONCURRENCY = 16
"""Most requests in flight where neither the user nor the judge file says."""


def pipeline(
    provider: ChatModel,
    *,
    cache: ContentCache | None,
    concurrency: int | None,
    patience: float,
    reasks: int,
    timeout: float | None,
) -> ChatModel:
    """`provider` with everything around it that makes it safe to pay for.

    Args:
        provider: The bare chat model.
        cache: Where replies are kept, or None to keep none.
        concurrency: Most requests in flight.
        patience: Seconds a call may take with all its retries.
        reasks: How often a reply without a rating is asked for again.
        timeout: Seconds an attempt may take.
    """
    chat: ChatModel = RetryingChat(provider, patience=patience, timeout=timeout)
    chat = GatedChat(chat, Gate(concurrency or CONCURRENCY))
    chat = ReaskingChat(chat, reasks=reasks)
    return chat if cache is None else CachedChat(chat, cache)
