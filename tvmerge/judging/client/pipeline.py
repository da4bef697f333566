"""The wrappers in their order, from the outermost: what costs nothing comes before what costs.

cache and single flight -> re-asks -> standing -> concurrency -> storing -> retries -> budget -> rate limits
-> wire -> ledger -> timeout -> provider

The budget stands inside the retries, so that every attempt is counted. A request that was refused waits for
the answers to others outside the places in flight, so that they can be asked.

The limiter has two halves: the places in flight are taken outside the retries, so that a call that waits to
be retried relieves the provider, and the rates inside, so that every attempt is counted.

Where a run is only planned, a tally stands in the place of everything behind the cache.
"""

from __future__ import annotations

from collections.abc import Callable

from tvmerge.errors import ConfigError
from tvmerge.judging.client.budget import BudgetedChat
from tvmerge.judging.client.cache import CachedChat, ReplyStore, StoringChat
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest
from tvmerge.judging.client.concurrency import ConcurrencyLimitedChat
from tvmerge.judging.client.dry_run import CountedChat
from tvmerge.judging.client.ledger import Ledger, LedgerChat, Prices
from tvmerge.judging.client.offers import OffersChat
from tvmerge.judging.client.rate_limit import LimitedChat
from tvmerge.judging.client.reask import ReaskingChat
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.retry import RetryingChat
from tvmerge.judging.client.shared_limits import open_rate_limit_group
from tvmerge.judging.client.shield import ShieldedChat
from tvmerge.judging.client.standing import StandingChat
from tvmerge.judging.client.timeout import TimeLimitedChat
from tvmerge.judging.client.tokens import LENGTH_PARAMETERS
from tvmerge.judging.spec import JudgeSpec


def pipeline(provider: ChatModel, spec: JudgeSpec, conduct: RequestPolicy) -> ChatModel:
    """`provider` with everything around it that makes it safe to pay for.

    Raises:
        ConfigError: The budget limits the cost and the judge has no price.
    """
    ledger = conduct.ledger or Ledger()
    if prices_of(spec) is None and conduct.budget is not None and conduct.budget.limits_cost:
        raise ConfigError(
            f"the judge '{spec.name}' has no price, so --max-cost cannot be kept: put price_input and "
            "price_output (USD per million tokens) into its judge file"
        )
    store = None if conduct.cache is None else ReplyStore(conduct.cache)
    if conduct.tally is not None:
        tally = conduct.tally
        tallied = CountedChat(provider, tally, spec.name)
        if store is None:
            return tallied
        return CachedChat(tallied, store, on_hit=lambda request, reply: tally.stored(spec.name))
    standing = _paid(provider, spec, conduct, ledger, store)
    chat = _reasking(standing, spec, conduct)
    if store is None:
        return chat

    def hit(request: ChatRequest, reply: ChatReply) -> None:
        ledger.hit(spec.name)
        if reply.finish != "refused":
            standing.heard(request)

    return CachedChat(chat, store, on_hit=hit)


def _paid(
    provider: ChatModel, spec: JudgeSpec, conduct: RequestPolicy, ledger: Ledger, store: ReplyStore | None
) -> StandingChat:
    """`provider` with all that stands around it within the re-asks."""
    prices = prices_of(spec)
    account = conduct.account or open_rate_limit_group([spec], conduct, ledger)
    chat: ChatModel = OffersChat(TimeLimitedChat(provider, spec.timeout), spec)
    chat = LedgerChat(chat, ledger, spec.name, prices=prices)
    chat = ShieldedChat(chat)
    chat = LimitedChat(chat, account.limiter, account.gate)
    if conduct.budget is not None:
        chat = BudgetedChat(chat, conduct.budget, prices)
    chat = RetryingChat(
        chat, patience=conduct.patience, wait_for_quota=conduct.wait_for_quota, pauses=conduct.pauses
    )
    if store is not None:
        chat = StoringChat(chat, store)
    return StandingChat(ConcurrencyLimitedChat(chat, account.gate), account.gate, note=_noting(conduct, spec))


def _reasking(standing: StandingChat, spec: JudgeSpec, conduct: RequestPolicy) -> ReaskingChat:
    return ReaskingChat(
        standing,
        reasks=conduct.reasks,
        fixed_room=any(name in spec.parameters for name in LENGTH_PARAMETERS),
        note=_noting(conduct, spec),
        pauses=conduct.pauses,
    )


def _noting(conduct: RequestPolicy, spec: JudgeSpec) -> Callable[[str], None]:
    return lambda said: conduct.note(f"judge {spec.name}: {said}")


def prices_of(spec: JudgeSpec) -> Prices | None:
    """What a judge costs; nothing where it runs on this machine's own hardware, None where nobody says."""
    if spec.price_input is not None and spec.price_output is not None:
        return Prices(spec.price_input, spec.price_output)
    return Prices(0.0, 0.0) if spec.provider == "local" else None
