"""Puts the wrappers in order, from the outermost; free steps come before paid ones.

charges -> cache and single flight -> re-asks -> standing -> wait for other processes -> concurrency -> claim
-> storing -> retries -> budget -> rate limits -> wire -> ledger and journal -> timeout -> provider

A reply is in the journal and in the ledger as soon as it arrives, and in the cache before it is used.

The budget is inside the retries, so that every attempt is counted. A refused request that waits for the
replies to other requests is outside the concurrency limit, so that those can be sent; so is one that another
process is sending. It is claimed inside, so that processes share the work of which each can do only a part.

Limits are applied in two places: the concurrency limit outside the retries, so that a call waiting for its
retry still takes a place and relieves the provider; the rate limits inside, so that every attempt is counted.

Requests sent in batches take another path after storing: retries -> budget -> ledger -> batches.

In a dry run, a request counter replaces everything after the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tvmerge._util.canonical import digest
from tvmerge.errors import ConfigError
from tvmerge.judging.batch.api import Batched
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.batch.budgeted import BudgetedBatches
from tvmerge.judging.batch.call_retry import CallRetry
from tvmerge.judging.batch.chat import BatchChat
from tvmerge.judging.batch.routed import RoutedChat
from tvmerge.judging.batch.waiting import Waiting
from tvmerge.judging.client.budget import BudgetedChat
from tvmerge.judging.client.cache import CachedChat, ReplyStore, StoringChat
from tvmerge.judging.client.charges import ChargedChat
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest
from tvmerge.judging.client.claims import AwaitingChat, ClaimingChat, RequestClaims
from tvmerge.judging.client.concurrency import ConcurrencyLimitedChat
from tvmerge.judging.client.ledger import Ledger, Prices
from tvmerge.judging.client.ledger_chat import LedgerChat
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.rate_limit import RateLimitedChat
from tvmerge.judging.client.rate_limit_group import RateLimitGroup
from tvmerge.judging.client.reask import ReaskingChat
from tvmerge.judging.client.refusal import RefusalChat
from tvmerge.judging.client.request_counter import CountedChat
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.retry import RetryingChat
from tvmerge.judging.client.shared_limits import open_rate_limit_group
from tvmerge.judging.client.shield import ShieldedChat
from tvmerge.judging.client.suggestions import SuggestingChat
from tvmerge.judging.client.timeout import TimeLimitedChat
from tvmerge.judging.client.tokens import LENGTH_PARAMETERS
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.spec import JudgeSpec

BATCHES = 4
"""Maximum number of batches in which a request is tried, if it fails or is not processed."""


_EVER = 1e9
"""Seconds of patience for requests in batches: a batch may take a day, so only `BATCHES` bounds them."""


def pipeline(provider: ChatModel, spec: JudgeSpec, policy: RequestPolicy) -> ChatModel:
    """Wrap `provider` in everything that makes it safe to pay for.

    Raises:
        ConfigError: The cost is limited, but the judge has no price, or its replies no limit.
    """
    ledger = policy.ledger or Ledger()
    prices = prices_of(spec)
    if prices is not None:
        ledger.price(spec.name, prices)
    if policy.budget is not None:
        policy.budget.most(provider.request("", "", RatingFormat()), prices)
    if prices is None and policy.budget is not None and policy.budget.limits_cost:
        raise ConfigError(
            f"the judge '{spec.name}' has no price, so --max-cost cannot be enforced: put price_input and "
            "price_output (USD per million tokens) into a file of the judge (docs/customizing.md)"
        )
    paid = policy.counter is None
    store = None if policy.cache is None else ReplyStore(policy.cache, paid=paid, journal=policy.journal)
    if policy.counter is not None:
        counter = policy.counter
        tallied = CountedChat(provider, counter, spec.name)
        if store is None:
            return tallied
        return CachedChat(tallied, store, on_hit=lambda request, reply: counter.stored(spec.name))
    standing = _paid(provider, spec, policy, ledger, store)
    chat: ChatModel = _reasking(standing, spec, policy, store)
    prices = prices_of(spec, batched=policy.batching is not None)

    def hit(request: ChatRequest, reply: ChatReply) -> None:
        ledger.hit(spec.name)
        if reply.finish != "refused":
            standing.heard(request)

    if store is not None:
        chat = CachedChat(chat, store, on_hit=hit)
    return chat if prices is None else ChargedChat(chat, prices)


def _paid(
    provider: ChatModel, spec: JudgeSpec, policy: RequestPolicy, ledger: Ledger, store: ReplyStore | None
) -> RefusalChat:
    """Wrap `provider` in everything inside the re-asks."""
    rate_limit_group = policy.rate_limit_group or open_rate_limit_group([spec], policy, ledger)
    chat = _live(provider, spec, policy, ledger, rate_limit_group, store=store)
    if policy.batching is not None:
        batched = _batched(provider, spec, policy, ledger, policy.batching, store=store)
        chat = RoutedChat(batched, chat, policy.batching)
    limiter = rate_limit_group.concurrency_limiter
    if store is None or policy.cache is None:
        chat = ConcurrencyLimitedChat(chat, limiter)
    else:
        claims = RequestClaims(policy.cache.folder / "claims", policy.note)
        claiming = ClaimingChat(StoringChat(chat, store), claims, store)
        chat = AwaitingChat(ConcurrencyLimitedChat(claiming, limiter), claims, store, policy.pauses)
    return RefusalChat(chat, limiter, patient=policy.batching is not None, note=_noting(policy, spec))


def _reasking(
    standing: RefusalChat, spec: JudgeSpec, policy: RequestPolicy, store: ReplyStore | None
) -> ReaskingChat:
    return ReaskingChat(
        standing,
        reasks=policy.reasks,
        fixed_room=any(name in spec.parameters for name in LENGTH_PARAMETERS),
        memory=store,
        note=_noting(policy, spec),
        pauses=policy.pauses,
    )


def _noting(policy: RequestPolicy, spec: JudgeSpec) -> Callable[[str], None]:
    return lambda said: policy.note(f"judge {spec.name}: {said}")


def _live(
    provider: ChatModel,
    spec: JudgeSpec,
    policy: RequestPolicy,
    ledger: Ledger,
    rate_limit_group: RateLimitGroup,
    *,
    store: ReplyStore | None,
) -> ChatModel:
    """Wrap `provider` for requests that are sent one by one."""
    prices = prices_of(spec)
    chat: ChatModel = SuggestingChat(TimeLimitedChat(provider, spec.timeout), spec)
    chat = LedgerChat(chat, ledger, spec.name, prices=prices, arrived=_arrival(store))
    chat = ShieldedChat(chat)
    chat = RateLimitedChat(chat, rate_limit_group.rate_limiter, rate_limit_group.concurrency_limiter)
    if policy.budget is not None:
        chat = BudgetedChat(chat, policy.budget, prices)
    return RetryingChat(
        chat, patience=policy.patience, wait_for_quota=policy.wait_for_quota, pauses=policy.pauses
    )


def _arrival(store: ReplyStore | None) -> Callable[[ChatRequest, ChatReply, Mapping[str, Any]], None]:
    return (lambda *_: None) if store is None else store.arrived


def _batched(
    provider: ChatModel,
    spec: JudgeSpec,
    policy: RequestPolicy,
    ledger: Ledger,
    batching: Batching,
    *,
    store: ReplyStore | None,
) -> ChatModel:
    """Wrap `provider` for requests that are sent in batches.

    Timeouts and rate limits do not apply, and a run can end before its requests are answered.
    """
    if not isinstance(provider, Batched):
        raise ConfigError(f"the judge '{spec.name}' has no batch endpoint: leave --judge-batch out")
    prices, pauses = prices_of(spec, batched=True), policy.pauses or Pauses()
    waiting = Waiting(
        judge=spec.name,
        patience=batching.patience,
        retry=CallRetry(policy.patience, wait_for_quota=policy.wait_for_quota, pauses=pauses),
        pauses=pauses,
        note=policy.note,
    )
    owner = digest([spec.provider, spec.endpoint, spec.model])
    batches = BatchChat(
        provider,
        provider.batches(),
        batching,
        prices=prices,
        waiting=waiting,
        owner=owner,
        unstored=_nothing if store is None else store.flush,
    )
    chat: ChatModel = LedgerChat(SuggestingChat(batches, spec), ledger, spec.name, prices=prices, left=True)
    if policy.budget is not None:
        chat = BudgetedBatches(chat, batches, policy.budget, ledger, prices)
    return RetryingChat(chat, patience=_EVER, most=BATCHES, pauses=pauses)


async def _nothing() -> Collection[str]:
    return ()


def prices_of(spec: JudgeSpec, *, batched: bool = False) -> Prices | None:
    """Return a judge's prices: zero if it runs on this machine, None if unknown."""
    if spec.price_input is not None and spec.price_output is not None:
        share = spec.price_batch if batched else 1.0
        return Prices(share * spec.price_input, share * spec.price_output)
    return Prices(0.0, 0.0) if not spec.on_server else None
