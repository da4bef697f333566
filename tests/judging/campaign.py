"""A provider that answers at random: statuses, bodies, finish reasons, headers, delays, all from one seed.

A sequence is one short run of a judge against such a provider, and a second one when it is well again. What
must hold of both, whatever was answered, is in `Sequence.check`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.judging.chats import KEY
from tests.servers import anthropic_server, cohere_server, openai_server
from tests.servers.http import Breakage, LoopbackServer, Request, Response
from tvmerge._util.cache import ContentCache
from tvmerge.errors import TvmergeError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Judgment, Question, Rating
from tvmerge.run.rating_tasks import RatingTasks, all_rated

PROVIDERS = ("openai", "openai", "anthropic", "cohere")
QUESTION = Question("q", "writing", ("数を一つ言って。",))
TIMEOUT = 60.0
"""Seconds; nothing that is answered may run into it, since it would be answered twice."""
REASK_PAUSES = 7.0
"""Seconds that pauses before three re-asks take together."""
SLACK = 60.0
"""Seconds that a busy machine may take for all else."""

STATUSES = (*[400] * 8, 401, 402, 403, 403, 404, 405, 408, 409, 410, 413, 415, 422, 422, 425, *[429] * 4, 451)
FAILURES = (500, 501, 502, 503, 504, 520, 529)
CONTENT = ("Content Exists Risk", "Your input was flagged for violence", "不安全或敏感内容")
WORDS = (
    "",
    "no",
    "The model `m` does not exist",
    "invalid temperature: only 1 is allowed for this model",
    "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    "Unrecognized request argument supplied: max_completion_tokens",
    "System role not supported",
    "Conversation roles must alternate user/assistant",
    "This model's maximum context length is 8192 tokens",
    "You exceeded your current quota",
    "Rate limit exceeded: free-models-per-day",
    "Please try again in 20ms",
    "Please try again in 9h",
    "Overloaded",
    "API key not valid",
    f"Incorrect API key provided: {KEY}",
    *CONTENT,
)
CODES = (None, None, None, "model_not_found", "insufficient_quota", "invalid_value", 400, 1210, "None")
PARAMS = (
    None,
    None,
    None,
    "model",
    "messages",
    "temperature",
    "max_tokens",
    "messages[0].role",
    "top_p",
    "None",
)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {},
    {},
    {"retry-after": "0"},
    {"retry-after-ms": "30"},
    {"retry-after": "nonsense"},
    {"retry-after": "100000"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"},
)
ENDINGS = ("length", "content_filter", "error", "tool_calls", "who_knows", "", None, "SAFETY", "MAX_TOKENS")
TEXTS = ("", "I cannot say.", "[[99]]", "<think>Could it be [[3]]?", "Rating: [[")
ODD: tuple[Any, ...] = (
    {},
    [],
    None,
    "text",
    {"choices": None},
    {"choices": []},
    {"choices": [None]},
    {"choices": [{"error": {"code": 502, "message": "down"}}]},
    {"choices": [{"error": {"code": 429, "message": "slow down"}}]},
    {"content": "no list"},
    {"content": [None, {"type": "text"}], "stop_reason": "end_turn"},
    {"message": "a text", "finish_reason": "COMPLETE"},
    {"message": {"content": [None]}},
    {
        "type": "message",
        "content": [{"type": "text", "text": "none"}],
        "stop_reason": "end_turn",
        "choices": 1,
    },
)


def rating(text: str) -> int:
    """The rating of an answer, known to the server and to the check."""
    return 1 + int(text) % 9


@dataclass
class Sequence:
    """One sequence: how the judge is asked, what the provider answered, and what came of it.

    Attributes:
        number: Which one it is.
        seed: Of all that is drawn.
        healthy: The provider answers well by now.
        answered: Of each answer what was sent back: `good`, `content`, `refused` or another word.
    """

    number: int
    seed: int
    healthy: bool = False
    answered: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = Random(f"{self.seed} {self.number}")
        self.provider = draw.choice(PROVIDERS)
        self.answers = [str(100 * self.number + index) for index in range(draw.randint(1, 7))]
        self.concurrency = draw.randint(1, 4)
        self.reasks = draw.randint(0, 3)
        self.patience = draw.choice((0.0, 0.3, 0.8))
        self.max_calls = draw.choice((None, 1, 2, 3, 6, 12))
        self.good = draw.choice((0.0, 0.0, 0.3, 0.6, 0.9))
        # Some sequences have a fault or two that come over and over, others have all of them.
        self.faults = [draw.randrange(10**6) for _ in range(draw.choice((1, 1, 2, 4, 100)))]
        self.by_text = draw.random() < 0.5

    def reply(self, request: Request) -> Response:
        """What the provider answers."""
        text = _text_of(request)
        sent = self.answered.setdefault(text, [])
        # By text and number, so that it does not depend on who comes first.
        draw = Random(f"{self.seed} {text} {'' if self.by_text else len(sent)}")
        if self.healthy or draw.random() < self.good:
            sent.append("good")
            return _said(self.provider, f"Rating: [[{rating(text)}]]", draw.choice(("stop", None)))
        kind, response = fault(Random(draw.choice(self.faults)), self.provider)
        sent.append(kind)
        return response

    @property
    def requests(self) -> int:
        """Requests that the server had."""
        return sum(map(len, self.answered.values()))

    @property
    def longest(self) -> float:
        """Seconds that a run may take."""
        each = (self.reasks + 1) * self.patience + REASK_PAUSES
        return len(self.answers) * each + SLACK

    async def run(self, url: str, prompts: Mapping[str, JudgePrompt], folder: Path) -> None:
        """Judge twice, and check what came of it."""
        for attempt in (1, 2):
            self.healthy = attempt == 2
            before = self.requests
            cache, ledger = ContentCache(folder / "cache"), Ledger(folder / "ledger.jsonl")
            entered = ledger.requests
            begun = time.monotonic()
            judgments, errors = await self._judge(
                url, prompts, cache, ledger, None if self.healthy else self.max_calls
            )
            took = time.monotonic() - begun
            cache.close()
            assert took < self.longest, f"{self}: {took} s"
            assert ledger.requests - entered == self.requests - before, self
            assert Ledger(folder / "ledger.jsonl").requests == ledger.requests, self
            self.check(judgments, errors)

    def check(self, judgments: Items[Judgment], errors: Items[BaseException]) -> None:
        """What must hold, whatever was answered."""
        if self.max_calls is not None and not self.healthy:
            assert self.requests <= self.max_calls, self
        for error in errors:
            assert isinstance(error, TvmergeError), (self, error)
            assert "\n" not in str(error)
            assert KEY not in str(error)
        for judgment in judgments:
            text = _number_in(judgment.user_prompt)
            assert KEY not in repr(judgment)
            if isinstance(judgment, Rating) and judgment.note:
                assert judgment.score == 1
                sent = set(self.answered[text])
                assert sent & {"content", "refused"}, (self, judgment)
                assert not sent & {"good", "unusable"}, (self, judgment)
            elif isinstance(judgment, Rating):
                assert judgment.score == rating(text), (self, judgment)
                assert "good" in self.answered[text], (self, judgment)
        # A reply that was complete was kept: it is never paid for again.
        assert all(sent.count("good") <= 1 for sent in self.answered.values()), self
        if self.healthy:
            assert not errors, (self, errors)
            assert len(judgments) == len(self.answers)

    async def _judge(
        self,
        url: str,
        prompts: Mapping[str, JudgePrompt],
        cache: ContentCache,
        ledger: Ledger,
        max_calls: int | None,
    ) -> tuple[list[Judgment], list[BaseException]]:
        suffix = "/v1" if self.provider == "openai" else ""
        spec = JudgeSpec(
            f"judge-{self.number}",
            self.provider,
            model="m",
            base_url=f"{url}/{self.number}{suffix}",
            api_key_env="TEST_KEY",
            timeout=TIMEOUT,
        )
        policy = RequestPolicy(
            cache=cache,
            ledger=ledger,
            budget=Budget(ledger, max_calls=max_calls),
            concurrency=self.concurrency,
            patience=self.patience,
            reasks=self.reasks,
        )
        judge = create_judge(spec, prompts, [QUESTION], policy=policy, env={"TEST_KEY": KEY})
        ratings = RatingTasks(judge)
        tasks = [ratings.start(QUESTION, Answer("q", (f"回答は第{text}番です。",))) for text in self.answers]
        try:
            await all_rated(tasks)
        except TvmergeError:
            pass
        finally:
            await ratings.drain(self.longest)
            await judge.close()
        done = [task for task in tasks if not task.cancelled()]
        errors = [error for task in done if (error := task.exception()) is not None]
        judged = [judgment for task in done if task.exception() is None for judgment in task.result()[1]]
        return judged, errors


class CampaignServer(LoopbackServer):
    """Answers each sequence at its own address, some a little late."""

    def __init__(self, seed: int) -> None:
        super().__init__(gate=self._delay)
        self.sequences: dict[int, Sequence] = {}
        self._delays = Random(seed)

    def handle(self, request: Request) -> Response:
        """What the sequence has for it."""
        if request.method != "POST":
            return Response({}, status=404)
        return self.sequences[int(request.path.split("/")[1])].reply(request)

    async def _delay(self, request: Request) -> None:
        await asyncio.sleep(self._delays.choice((0.0, 0.0, 0.005, 0.03)))


def fault(draw: Random, provider: str) -> tuple[str, Response]:
    """A fault and its kind, as `draw` has it."""
    form = draw.random()
    if form < 0.1:
        broken: tuple[Breakage, ...] = ("reset", "truncate", "truncate")
        breakage = draw.choice(broken)
        return breakage, Response(_said(provider, "Rating: [[1]]", "stop").body, breakage=breakage)
    if form < 0.3:
        return _unusable(draw, provider)
    if form < 0.45:
        return "odd", _odd(draw)
    words = draw.choice(WORDS)
    status = 200 if form < 0.55 else draw.choice(STATUSES if draw.random() < 0.7 else FAILURES)
    body = _complaint(draw, status, words)
    kind = "content" if (words in CONTENT or status == 451) else "error"
    headers = {} if status == 200 else draw.choice(HEADERS)
    content_type = "text/html" if isinstance(body, str) else "application/json"
    return kind, Response(body, status=status, headers=headers, content_type=content_type)


def _unusable(draw: Random, provider: str) -> tuple[str, Response]:
    ending, text = draw.choice(ENDINGS), draw.choice(TEXTS)
    refused = ending in ("content_filter", "SAFETY")
    return "refused" if refused else "unusable", _said(provider, text, ending)


def _odd(draw: Random) -> Response:
    if draw.random() < 0.5:
        return Response(draw.choice(ODD))
    bodies = (
        '{"choices": [{"mess',
        "<html><head><title>Sign in</title></head></html>",
        'data: {"choices": [{"delta": {"content": "[[5]]"}}]}\n\ndata: [DONE]\n\n',
        ": comment\n\n",
        "",
        "nothing here",
    )
    return Response(draw.choice(bodies), content_type="text/plain")


def _complaint(draw: Random, status: int, words: str) -> Any:
    code, param = draw.choice(CODES), draw.choice(PARAMS)
    error = {
        "message": words,
        "type": "invalid_request_error",
        "code": status if status == 200 else code,
        "param": param,
    }
    if status == 200:
        error["code"] = draw.choice((None, 400, 402, 403, 429, 500, 503))
        return draw.choice(
            ({"error": error}, {"error": words or "no"}, {"detail": words or "no"}, [{"error": error}])
        )
    shapes: tuple[Any, ...] = (
        {"error": error},
        {"error": error},
        [
            {
                "error": {
                    **error,
                    "details": [{"retryDelay": "0.02s"}, {"violations": [{"quotaId": "PerMinute"}]}],
                }
            }
        ],
        {"error": words},
        {"message": words},
        {"object": "error", **error},
        {"detail": words},
        {"detail": [{"loc": ["body", param or "messages"], "msg": words, "input": KEY}]},
        {"message": {"detail": [{"loc": ["body", "temperature"], "msg": words}]}},
        {"type": "error", "error": {"type": "api_error", "message": words}},
        {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"error": error})}}},
        {"code": words, "error": {"unknown": [1, {"deep": None}]}},
        f"<html><body><h1>{words}</h1></body></html>",
        words,
        None,
        17,
    )
    return draw.choice(shapes)


def _said(provider: str, text: str, ending: str | None) -> Response:
    if provider == "anthropic":
        return anthropic_server.message(text, stop_reason="end_turn" if ending in ("stop", None) else ending)
    if provider == "cohere":
        return cohere_server.chat(text, finish_reason="COMPLETE" if ending in ("stop", None) else ending)
    response = openai_server.completion(text)
    response.body["choices"][0]["finish_reason"] = ending
    return response


def _text_of(request: Request) -> str:
    return _number_in(json.dumps(request.body, ensure_ascii=False))


def _number_in(text: str) -> str:
    found = re.search(r"第([0-9]+)番", text)
    return found[1] if found else ""


async def run_campaign(
    count: int, seed: int, prompts: Mapping[str, JudgePrompt], folder: Path, at_once: int = 20
) -> Counter[str]:
    """Run `count` sequences; the kinds of all that was answered, by how often.

    Raises:
        BaseExceptionGroup: What must hold did not, in some sequences.
    """
    places = asyncio.Semaphore(at_once)

    async def one(sequence: Sequence) -> None:
        async with places:
            (folder / str(sequence.number)).mkdir(parents=True)
            await sequence.run(server.url, prompts, folder / str(sequence.number))

    with CampaignServer(seed) as server:
        server.sequences = {number: Sequence(number, seed) for number in range(1, count + 1)}
        works = (one(sequence) for sequence in server.sequences.values())
        outcomes = await asyncio.gather(*works, return_exceptions=True)
    wrong = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if wrong:
        raise BaseExceptionGroup(f"{len(wrong)} of {count} sequences", wrong)
    return Counter(
        kind for sequence in server.sequences.values() for sent in sequence.answered.values() for kind in sent
    )
