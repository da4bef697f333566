"""Judges that are given what they compare with."""

from __future__ import annotations

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer
from tvmerge.errors import ConfigError
from tvmerge.judging.judges.comparing import with_baseline
from tvmerge.judging.judges.japanese import JapaneseJudge
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.records import Answer, Question, Rating

QUESTION = Question("q", "writing", ("空の色は？",))
ANSWER = Answer("q", ("青です。",))


async def test_a_baseline_reaches_every_judge_through_all_that_wraps_it(
    prompts: dict[str, JudgePrompt],
) -> None:
    with OpenAIServer(reply=lambda prompt: "[[A]]") as server:
        one = create_judge(a_spec(server.base_url), prompts, [QUESTION], compares=True, env={"TEST_KEY": KEY})
        judge = with_baseline(JapaneseJudge(PanelJudge([one, RulesJudge()])), {"q": ANSWER})
        compared, rated = await judge.judge(QUESTION, ANSWER)
        assert isinstance(compared, Rating)
        assert isinstance(rated, Rating)
        assert (compared.score, compared.note.split(";")[0]) == (0.5, "the baseline's very answer")
        assert rated.score > 1
        # The judge that was there before still compares with nothing.
        with pytest.raises(ConfigError, match="the baseline has no answer"):
            await one.judge(QUESTION, ANSWER)
        await judge.close()


def test_a_judge_that_rates_stays_as_it_is() -> None:
    judge = RulesJudge()
    assert with_baseline(judge, {"q": ANSWER}) is judge
