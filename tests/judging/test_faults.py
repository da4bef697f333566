"""A provider at its worst: every third request goes wrong, and not one score does."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers import scoring
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.records import Answer, Question, Rating

JUDGMENTS = 1000
QUESTION = Question("q", "writing", ("数を一つ言って。",))
TRANSIENT = {
    "429": error(429, "slow down", headers={"retry-after-ms": "5"}),
    "429 by date": error(429, "slow down", headers={"retry-after": "Tue, 24 Nov 2020 12:00:00 GMT"}),
    "500": error(500, "crashed"),
    "503": error(503, "unavailable", headers={"retry-after": "0.01"}),
    "529": error(529, "overloaded"),
    "reset": Response(completion("Rating: [[1]]").body, breakage="reset"),
    "stall": Response({}, breakage="stall"),
    "truncated": Response(completion("Rating: [[1]]").body, breakage="truncate"),
    "half JSON": Response('{"choices": [{"message": {"content": "Rating: [[1]]'),
}
UNUSABLE = {
    "empty": completion(""),
    "length": completion("Rating: [[1]]", finish="length"),
    "content_filter": completion("", finish="content_filter"),
    "no rating": completion("I cannot say."),
}
FAULTS = {**TRANSIENT, **UNUSABLE}


class Campaign:
    """Answers 30% of the requests with a fault, drawn from the prompt and how often it came.

    Attributes:
        faults: How often each fault was used.
        paid: Requests answered with status 200 in full, usable or not.
    """

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request, number: int) -> Response | None:
        """The fault for this request, or None."""
        prompt = user_prompt(request)
        with self._lock:
            self._seen[prompt] += 1
            draw = hashlib.sha256(f"{self._seen[prompt]} {prompt}".encode()).digest()
            # Four unusable replies in a row would rightly be the end of a judgment.
            if draw[0] >= 0.3 * 256 or self._seen[prompt] > 3:
                return None
            # A stall takes a whole timeout, so no judgment is dealt two.
            names = sorted(FAULTS if self._seen[prompt] == 1 else FAULTS.keys() - {"stall"})
            name = names[draw[1] % len(names)]
            self.faults[name] += 1
        return FAULTS[name]


async def test_a_thousand_judgments_survive_a_faulty_provider_unharmed(
    prompts: dict[str, JudgePrompt], tmp_path: Path
) -> None:
    campaign = Campaign()
    cache = ContentCache(tmp_path)
    ledger = Ledger()
    answers = [Answer("q", (f"{number}です。",)) for number in range(JUDGMENTS)]
    with OpenAIServer(script=campaign) as server:
        # Long enough that no true reply runs into it on a busy machine: it would be answered twice.
        spec = a_spec(server.base_url, timeout=10)
        policy = RequestPolicy(cache=cache, ledger=ledger, concurrency=64)
        judge = create_judge(spec, prompts, [QUESTION], policy=policy, env={"TEST_KEY": KEY})
        judged = await asyncio.gather(*(judge.judge(QUESTION, answer) for answer in answers))
        await judge.close()
        answered = server.answered
    ratings = [judgment for (judgment,) in judged if isinstance(judgment, Rating)]
    assert len(ratings) == JUDGMENTS
    assert all(verdict.score == scoring.rating(verdict.user_prompt) for verdict in ratings)
    assert all(verdict.note == "" for verdict in ratings)
    assert set(campaign.faults) == set(FAULTS)
    # "half JSON" is answered in full, and so counted by the server, but nothing can be read of it.
    reasks = sum(campaign.faults[name] for name in UNUSABLE)
    assert answered == JUDGMENTS + reasks + campaign.faults["half JSON"]
    assert ledger.calls == JUDGMENTS + reasks
    assert len(cache) == JUDGMENTS
    cache.close()


@pytest.mark.parametrize("name", sorted(TRANSIENT))
async def test_each_fault_alone_is_tried_again(name: str, prompts: dict[str, JudgePrompt]) -> None:
    def once(request: Request, number: int) -> Response | None:
        return TRANSIENT[name] if number == 0 else None

    with OpenAIServer(script=once) as server:
        # Only a reply that never comes is waited for; on a busy machine a true one may take a second.
        spec = a_spec(server.base_url, timeout=2 if name == "stall" else 60)
        judge = create_judge(spec, prompts, [QUESTION], env={"TEST_KEY": KEY})
        (verdict,) = await judge.judge(QUESTION, Answer("q", ("七です。",)))
        await judge.close()
        assert len(server.requests) == 2
    assert isinstance(verdict, Rating)
    assert verdict.score == scoring.rating(verdict.user_prompt)
