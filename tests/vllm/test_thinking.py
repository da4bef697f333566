"""Thinking models on vLLM answer as they do on transformers.

Several modules: the vLLM engine and the parting of thoughts, where vLLM is installed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines import thinkers
from tests.engines.thinkers import ANSWER, ASKED, THOUGHT
from tests.vllm.test_vllm_engine import make_engine
from tvmerge.protocols import Engine
from tvmerge.records import Sampling
from tvmerge.testing.models import Answers, answers_of, open_models, uniform

GREEDY = Sampling(max_new_tokens=40, default_temperature=0.0)
SAMPLINGS = (
    GREEDY,
    replace(GREEDY, max_new_tokens=4),
    replace(GREEDY, max_thinking_tokens=20, max_new_tokens=2),
    replace(GREEDY, max_thinking_tokens=4, max_new_tokens=2),
)
WARM = Sampling(max_new_tokens=6, max_thinking_tokens=9, default_temperature=1.0, samples=12)


async def ask(engine: Engine, folder: Path, *samplings: Sampling) -> list[Answers]:
    recipe = uniform(open_models(folder), 0.5)
    return [await answers_of(engine, recipe, [ASKED], sampling) for sampling in samplings]


@pytest.mark.parametrize("family", ["qwen3", "gptoss"])
async def test_thoughts_are_told_apart_and_limited_as_on_transformers(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.engines.prompting.turn.PIECE", 1)
    folder = thinkers.make(family, tmp_path, certainty=2.9)
    plain, engine = thinkers.open_engine(open_models(folder)), make_engine(folder)
    try:
        found = await ask(engine, folder, *SAMPLINGS)
        assert found == await ask(plain, folder, *SAMPLINGS)
        warm, again = await ask(engine, folder, WARM, WARM)
    finally:
        await engine.close()
        await plain.close()
    whole = found[0][ASKED.question_id, 0]
    assert (whole.turns, whole.thoughts) == ((ANSWER, ANSWER), (THOUGHT, THOUGHT))
    assert warm == again
    assert len({answer.turns for answer in warm.values()}) > 4
    assert all(len(turn.split()) <= 6 for answer in warm.values() for turn in answer.turns)
    # Behind its answer a model may begin another message, which is none.
    most = {"qwen3": 9, "gptoss": 9 + 6}[family]
    assert all(len(thought.split()) <= most for answer in warm.values() for thought in answer.thoughts)
