"""kill -9 in the middle of 1,000 judgments, 20 times: nothing that was stored is paid for again.

Several modules: judges with all that wraps their requests.
"""

from __future__ import annotations

import json
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.forking import forked
from tests.judging.doomed import QUESTION, answer, judge_all
from tests.servers import scoring
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.judging.prompts.fields import answer_fields, question_fields
from tvmerge.judging.prompts.kinds import kind_for
from tvmerge.judging.prompts.prompts import load_prompts

JUDGMENTS = 1000
KILLS = 20
CONCURRENCY = 16
PROMPTS = bundled_root() / "prompts" / "judge_prompts.jsonl"


class Bill:
    """Counts what is paid for, and says when it is time to kill.

    Attributes:
        paid: Prompts answered, in order.
        asked: Prompts of all requests, answered or not.
    """

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.kill_at = 0
        self.time_to_kill = threading.Event()

    def __call__(self, request: Request, number: int) -> Response | None:
        """Note the call; the rating is sent in any case."""
        self.paid.append(user_prompt(request))
        if len(self.paid) >= self.kill_at:
            self.time_to_kill.set()
        return None


def start(server: OpenAIServer, folder: Path, out: Path) -> BaseProcess:
    settings = {"prompts": PROMPTS, "count": JUDGMENTS, "concurrency": CONCURRENCY}
    return forked(judge_all, server.base_url, folder, out, **settings)


def stored(folder: Path) -> set[str]:
    cache = ContentCache(folder)
    rows = [cache.get(key) for key in cache]
    cache.close()
    assert None not in rows
    return {row["request"]["body"]["messages"][-1]["content"] for row in rows if row is not None}


def expected() -> list[int]:
    kind = kind_for(QUESTION, 1)
    prompt = load_prompts(PROMPTS)[kind.name]
    fields = question_fields(QUESTION, prompt, kind, 1)
    shown = [prompt.render(fields | answer_fields(QUESTION, answer(n), kind, 1)) for n in range(JUDGMENTS)]
    return [scoring.rating(text) for text in shown]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_what_was_stored_outlives_twenty_kills_and_is_never_paid_for_again(tmp_path: Path) -> None:
    bill = Bill()
    folder, out = tmp_path / "cache", tmp_path / "scores.json"
    in_flight = 0
    with OpenAIServer(script=bill) as server:
        for kill in range(KILLS):
            before = len(bill.paid)
            bill.kill_at = (kill + 1) * JUDGMENTS // (KILLS + 1)
            bill.time_to_kill.clear()
            process = start(server, folder, out)
            assert bill.time_to_kill.wait(timeout=300)
            process.kill()
            process.join()
            kept = stored(folder)
            lost = [prompt for prompt in bill.paid[before:] if prompt not in kept]
            assert len(lost) <= CONCURRENCY
            in_flight += len(lost)
        safe = stored(folder)
        before = len(bill.paid)
        process = start(server, folder, out)
        process.join(timeout=300)
    assert process.exitcode == 0
    assert json.loads(out.read_text(encoding="utf-8")) == expected()
    assert not safe & set(bill.paid[before:])
    assert len(bill.paid) <= JUDGMENTS + in_flight
    assert len(stored(folder)) == JUDGMENTS
    assert len(safe) < JUDGMENTS
