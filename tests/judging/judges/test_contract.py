"""The contract of judges, for each kind of judge.

Several modules: all judges pass one suite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer
from tvmerge._util.cache import ContentCache
from tvmerge.judging.judges.comparing import with_baseline
from tvmerge.judging.judges.own import OwnJudge
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.protocols import Judge
from tvmerge.records import Answer
from tvmerge.testing import JudgeContract, ScriptedJudge
from tvmerge.testing.judge_contract import ANSWERS, QUESTIONS

BASELINE = {answer.question_id: Answer(answer.question_id, ("Green.", "Grey.")) for answer in ANSWERS}


def five(*_: object) -> float:
    return 5.0


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


class TestRulesJudge(JudgeContract):
    @pytest.fixture
    def judge(self) -> Judge:
        return RulesJudge()


class TestScriptedJudge(JudgeContract):
    @pytest.fixture
    def judge(self) -> Judge:
        return ScriptedJudge(rating=five)


class TestOwnJudge(JudgeContract):
    @pytest.fixture
    def judge(self, tmp_path: Path) -> Judge:
        return OwnJudge(ScriptedJudge(rating=five), ContentCache(tmp_path))


class TestConversationJudge(JudgeContract):
    @pytest.fixture
    async def judge(self, server: OpenAIServer, prompts: dict[str, JudgePrompt]) -> AsyncIterator[Judge]:
        made = create_judge(a_spec(server.base_url), prompts, QUESTIONS, together=True, env={"TEST_KEY": KEY})
        yield made
        await made.close()


class TestPanelJudge(JudgeContract):
    @pytest.fixture
    def judge(self) -> Judge:
        return PanelJudge([RulesJudge(), ScriptedJudge(rating=five)])


class TestLLMJudge(JudgeContract):
    @pytest.fixture
    async def judge(self, server: OpenAIServer, prompts: dict[str, JudgePrompt]) -> AsyncIterator[Judge]:
        judge = create_judge(a_spec(server.base_url), prompts, QUESTIONS, env={"TEST_KEY": KEY})
        yield judge
        await judge.close()


class TestPairwiseJudge(JudgeContract):
    @pytest.fixture
    async def judge(self, server: OpenAIServer, prompts: dict[str, JudgePrompt]) -> AsyncIterator[Judge]:
        spec, env = a_spec(server.base_url), {"TEST_KEY": KEY}
        judge = with_baseline(create_judge(spec, prompts, QUESTIONS, compares=True, env=env), BASELINE)
        yield judge
        await judge.close()
