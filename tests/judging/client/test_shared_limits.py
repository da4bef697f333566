"""Judges that one provider counts together share their limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge.errors import CredentialsError
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.shared_limits import open_rate_limit_group, open_rate_limit_groups
from tvmerge.judging.spec import JudgeSpec

GOOD = ChatReply("Rating: [[7]]", "stop")


def spec_of(name: str, provider: str = "openai", **settings: Any) -> JudgeSpec:
    return JudgeSpec(name, provider, model=name, api_key_env="OPENAI_API_KEY", **settings)


def accounts_of(*specs: JudgeSpec) -> list[int]:
    """Which judges share a rate-limit group: the same number is the same group."""
    opened = open_rate_limit_groups(specs, RequestPolicy(), Ledger())
    return [list(opened.values()).index(opened[spec.name]) for spec in specs]


def test_one_server_and_one_key_are_one_rate_limit_group() -> None:
    elsewhere = spec_of("c", base_url="http://127.0.0.1:1/v1")
    assert accounts_of(spec_of("a"), spec_of("b"), elsewhere, spec_of("d", "anthropic")) == [0, 0, 2, 3]


def test_judges_on_this_machine_have_a_rate_limit_group_each() -> None:
    assert accounts_of(spec_of("a", "local"), spec_of("b", "local")) == [0, 1]


async def test_the_strictest_judge_file_holds_and_the_user_comes_first() -> None:
    specs = [spec_of("a", concurrency=8), spec_of("b", concurrency=3), spec_of("c", concurrency=5)]
    assert open_rate_limit_group(specs, RequestPolicy(), Ledger()).concurrency_limiter.places == 3
    assert (
        open_rate_limit_group(specs, RequestPolicy(concurrency=6), Ledger()).concurrency_limiter.places == 6
    )


@pytest.mark.parametrize(("rpm", "minutes"), [({"a": 2}, 2), ({"a": 4, "b": 2}, 2), ({"a": 4, "b": 9}, 1)])
def test_a_panel_in_one_rate_limit_group_stays_within_one_limit(rpm: dict[str, int], minutes: int) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        return GOOD

    async def work() -> float:
        specs = [spec_of(name, rpm=rpm.get(name)) for name in "ab"]
        rate_limit_group = open_rate_limit_group(specs, RequestPolicy(), Ledger())
        chats = [
            pipeline(LocalChat(answer), spec, RequestPolicy(rate_limit_group=rate_limit_group))
            for spec in specs
        ]
        await asyncio.gather(*(chat.send(a_request(str(n))) for chat in chats for n in range(3)))
        return asyncio.get_running_loop().time()

    assert 60 * minutes <= run(work()) < 60 * (minutes + 1)


def test_the_days_requests_of_all_judges_of_a_group_are_counted(tmp_path: Any) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for name in ("a", "b", "other"):
        ledger.record(ledger.line(name, None, None, 0.0))
    rate_limit_group = open_rate_limit_group(
        [spec_of("a"), spec_of("b")], RequestPolicy(rpd=3, wait_for_quota=True), ledger
    )

    async def work() -> float:
        await rate_limit_group.rate_limiter.admit()
        first = asyncio.get_running_loop().time()
        await rate_limit_group.rate_limiter.admit()
        assert first == 0
        return asyncio.get_running_loop().time()

    assert run(work()) > 86_000


async def test_what_stops_one_judge_of_a_group_stops_the_others() -> None:
    async def refuse(request: ChatRequest) -> ChatReply:
        raise CredentialsError("401")

    specs = [spec_of("a"), spec_of("b")]
    rate_limit_group = open_rate_limit_group(specs, RequestPolicy(), Ledger())
    refused, other = LocalChat(refuse), LocalChat(refuse)
    for model, spec in zip((refused, other), specs, strict=True):
        with pytest.raises(CredentialsError):
            await pipeline(model, spec, RequestPolicy(rate_limit_group=rate_limit_group)).send(a_request())
    assert (len(refused.sent), len(other.sent)) == (1, 0)
