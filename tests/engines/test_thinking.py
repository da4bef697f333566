"""What models think before they answer is not part of the answer.

Several modules: the pool, the engine and the parting of thoughts.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines import thinkers
from tests.engines.thinkers import ANSWER, ASKED, THOUGHT
from tvmerge.engines.prompting import turn
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.replies import ReplyReader
from tvmerge.engines.remote.messages import pack, unpack
from tvmerge.records import Answer, Sampling
from tvmerge.testing.models import answers_of, open_models, uniform

GREEDY = Sampling(max_new_tokens=40, default_temperature=0.0)
FAMILIES = ("qwen3", "r1", "magistral", "command", "spelled", "gptoss")


async def ask(folder: Path, sampling: Sampling, **variables: object) -> Answer:
    return (await ask_all(folder, sampling, **variables))[0]


async def ask_all(folder: Path, sampling: Sampling, **variables: object) -> list[Answer]:
    merge = open_models(folder)
    engine = thinkers.open_engine(merge, variables)
    try:
        found = await answers_of(engine, uniform(merge, 0.5), [ASKED], sampling)
    finally:
        await engine.close()
    return [found[ASKED.question_id, sample] for sample in range(sampling.samples)]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinkers.make(request.param, tmp_path_factory.mktemp(request.param))


async def test_each_turn_is_the_answer_alone_and_its_thought_is_kept(family: Path) -> None:
    found = await ask(family, GREEDY)
    assert found.turns == (ANSWER, ANSWER)
    assert found.thoughts == (THOUGHT, THOUGHT)
    assert found.finish == ("stop", "stop")


async def test_a_limit_within_the_thought_leaves_no_answer_and_says_so(family: Path) -> None:
    found = await ask(family, replace(GREEDY, max_new_tokens=4))
    assert found.turns == ("", "")
    assert found.finish == ("thought", "thought")
    assert all(THOUGHT.startswith(thought) and thought for thought in found.thoughts)


async def test_a_thought_that_is_too_long_is_closed_and_the_model_answers(family: Path) -> None:
    found = await ask(family, replace(GREEDY, max_thinking_tokens=4, max_new_tokens=4))
    assert found.turns == (ANSWER, ANSWER)
    assert found.finish == ("stop", "stop")
    assert all(THOUGHT.startswith(thought) and thought != THOUGHT for thought in found.thoughts)


async def test_a_thought_within_its_limit_is_left_alone(family: Path) -> None:
    limited = replace(GREEDY, max_thinking_tokens=20, max_new_tokens=4)
    assert await ask(family, limited) == await ask(family, GREEDY)


async def test_the_models_are_known_to_think(family: Path) -> None:
    known = ReplyReader(ChatFormat(family / "target")).thinks
    assert known == ("spelled" not in family.name)


async def test_text_that_is_gone_on_with_keeps_its_thoughts(family: Path) -> None:
    question = replace(ASKED, turns=("assistant <think>",))
    merge = open_models(family)
    engine = thinkers.open_engine(merge)
    found = await answers_of(engine, uniform(merge, 0.0), [question], replace(GREEDY, raw=True))
    await engine.close()
    assert found[question.question_id, 0].thoughts == ()
    assert "thought" not in found[question.question_id, 0].finish


async def test_thinking_that_is_switched_off_is_no_thought(tmp_path: Path) -> None:
    found = await ask(thinkers.make("qwen3", tmp_path), GREEDY, quiet=True)
    assert found == Answer(ASKED.question_id, (ANSWER, ANSWER), ("stop", "stop"))


async def test_an_answer_about_the_marks_stays_whole(tmp_path: Path) -> None:
    found = await ask(thinkers.make("plain", tmp_path), GREEDY)
    assert found.turns[0] == "`<think>` opens a thought."
    assert found.thoughts == ()


async def test_a_thought_without_end_is_closed_once_and_its_answer_has_all_its_tokens(tmp_path: Path) -> None:
    folder = thinkers.make("endless", tmp_path)
    found = await ask(folder, replace(GREEDY, max_thinking_tokens=100, max_new_tokens=1))
    assert found.turns == (ANSWER, ANSWER)
    assert found.finish == ("length", "length")
    assert [len(thought.split()) for thought in found.thoughts] == [99, 99]
    assert (await ask(folder, GREEDY)).finish == ("thought", "thought")


async def test_a_limit_for_thoughts_changes_nothing_of_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "PIECE", 1)
    folder = thinkers.make("qwen3", tmp_path, certainty=2.9)
    warm = Sampling(max_new_tokens=60, default_temperature=1.0, samples=24)
    whole = await ask_all(folder, warm)
    pieces = await ask_all(folder, replace(warm, max_new_tokens=7, max_thinking_tokens=53))
    assert any(answer.thoughts and answer.turns[0] for answer in whole)
    same = 0
    for one, other in zip(whole, pieces, strict=True):
        if one.thoughts[:1] == other.thoughts[:1]:
            assert one.turns[0].startswith(other.turns[0])
            same += bool(one.turns[0])
        else:  # it thinks for longer than it may
            assert one.thoughts[0].startswith(other.thoughts[0])
    assert same > 12
    assert len({answer.turns for answer in pieces}) > 12


def test_thoughts_reach_the_run_from_engines_in_other_processes() -> None:
    answer = Answer("capital", ("", ANSWER), ("thought", "stop"), 1, (THOUGHT, ""))
    assert unpack(Answer, json.loads(json.dumps(pack(answer)))) == answer
