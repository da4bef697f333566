"""Several judges instead of one."""

from __future__ import annotations

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer, error
from tvmerge.errors import ConfigError, QuotaError, UserError
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.records import Answer, Question

QUESTION = Question("q", "writing", ("空の色は？", "なぜ？"))
ANSWER = Answer("q", ("青です。", "光が散乱するからです。"))


async def test_every_judge_rates_every_turn(server: OpenAIServer, prompts: dict[str, JudgePrompt]) -> None:
    llm = create_judge(a_spec(server.base_url), prompts, [QUESTION], env={"TEST_KEY": KEY})
    panel = PanelJudge([llm, RulesJudge()])
    judgments = await panel.judge(QUESTION, ANSWER)
    await panel.close()
    assert [(j.turn, j.judge) for j in judgments] == [
        (1, "loopback"),
        (1, "rules"),
        (2, "loopback"),
        (2, "rules"),
    ]
    assert panel.name == "loopback+rules"
    assert panel.fingerprint == {"panel": {"loopback": llm.fingerprint, "rules": RulesJudge().fingerprint}}


def test_a_judge_sits_on_a_panel_once() -> None:
    with pytest.raises(ConfigError, match="'rules' is named twice"):
        PanelJudge([RulesJudge(), RulesJudge()])


async def test_a_judge_that_cannot_be_closed_keeps_no_other_open() -> None:
    closed: list[str] = []

    class Failing(RulesJudge):
        def __init__(self, label: str) -> None:
            super().__init__()
            self.label = label

        @property
        def name(self) -> str:
            return self.label

        async def close(self) -> None:
            closed.append(self.name)
            raise UserError("the disk is full")

    panel = PanelJudge([Failing("one"), Failing("two"), Failing("three")])
    with pytest.raises(UserError, match="the disk is full"):
        await panel.close()
    assert closed == ["one", "two", "three"]


async def test_a_judge_that_cannot_go_on_stops_the_panel(prompts: dict[str, JudgePrompt]) -> None:
    with OpenAIServer(script=lambda request, number: error(402, "pay")) as server:
        llm = create_judge(a_spec(server.base_url), prompts, [QUESTION], env={"TEST_KEY": KEY})
        panel = PanelJudge([RulesJudge(), llm])
        with pytest.raises(QuotaError):
            await panel.judge(QUESTION, ANSWER)
        await panel.close()
