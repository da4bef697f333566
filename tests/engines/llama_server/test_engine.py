"""Answers of a GGUF file: the prompts and settings that the server gets, and how its tokens are read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.convertible import save_convertible_demo
from tests.llama_cpp import requests, write_programs
from tvmerge.engines.llama_server.engine import LlamaServerEngine
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.errors import AssetError, ConfigError
from tvmerge.merging.gguf.folder import GgufFolder
from tvmerge.merging.gguf.programs import SERVER, find_program
from tvmerge.merging.gguf.tools import open_tools
from tvmerge.records import Answer, Continuation, Question, Recipe, Sampling
from tvmerge.testing.engine_contract import GREEDY, WARM
from tvmerge.testing.models import Answers, PlainModel, answers_of, demo_questions, stop_ids

PROMPT = "<s><user>亀の家は？<assistant>"
ONE = Question("q", "any", ("亀の家は？",))
TWO = Question("q", "any", ("亀の家は？", "猫の家は？"))


class Bench:
    """An engine on a file of the demo's target, in a server whose answers are given."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.programs = write_programs(folder)
        self.chat = ChatFormat(target)
        file = folder / "model-Q8_0.gguf"
        file.write_bytes(b"GGUF" + json.dumps({"type": "Q8_0"}).encode())
        self.engine = LlamaServerEngine(
            (str(self.programs / SERVER),), file, self.chat, stop_tokens=stop_ids(target), context=256
        )

    def rule(self, **given: object) -> None:
        """Set the tokens (`any`), the `stop_type` and whether answers are `truncated`."""
        (self.programs / "answers.json").write_text(json.dumps(given))

    async def ask(self, *questions: Question, sampling: Sampling = GREEDY) -> Answers:
        return await answers_of(self.engine, Recipe({}), questions, sampling)


@pytest.fixture
async def bench(tmp_path: Path, demo_models: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, demo_models / "target")
    yield made
    await made.engine.close()


async def test_the_server_gets_the_prompt_of_other_engines_as_token_ids(bench: Bench) -> None:
    await bench.ask(ONE)
    [request] = requests(bench.programs)
    assert request["prompt"] == bench.chat.tokens(PROMPT)
    assert (request["n_predict"], request["temperature"]) == (24, 0.0)
    assert (request["samplers"], request["mirostat"]) == (["temperature"], 0)
    assert request["cache_prompt"] is False


async def test_the_second_turn_contains_the_first_answer(bench: Bench) -> None:
    bench.rule(any=[*bench.chat.tokens("池です。"), 2])
    found = await bench.ask(TWO)
    assert found["q", 0].turns == ("池です。", "池です。")
    assert requests(bench.programs)[1]["prompt"] == bench.chat.tokens(
        f"{PROMPT}池です。</s><user>猫の家は？<assistant>"
    )


async def test_an_answer_ends_at_the_runs_stop_tokens_even_if_the_server_goes_on(bench: Bench) -> None:
    ids = bench.chat.tokens("池です。")
    bench.rule(any=[*ids, 2, *ids], stop_type="limit")
    assert (await bench.ask(ONE))["q", 0] == Answer("q", ("池です。",), ("stop",))


async def test_a_token_that_ends_answers_by_the_file_is_no_part_of_one(bench: Bench) -> None:
    ids = bench.chat.tokens("池です。秋")
    bench.rule(any=ids, stop_type="eos")
    found = (await bench.ask(ONE))["q", 0]
    assert found.turns == (bench.chat.decode(ids[:-1]),)
    assert found.finish == ("stop",)


async def test_an_answer_at_the_token_limit_is_cut_off(bench: Bench) -> None:
    bench.rule(any=[40] * 30)
    found = await bench.ask(ONE, sampling=replace(GREEDY, max_new_tokens=5))
    assert found["q", 0].finish == ("length",)
    assert found["q", 0].tokens == 5


async def test_an_answer_that_the_server_had_no_room_for_is_no_answer(bench: Bench) -> None:
    bench.rule(any=[40], stop_type="limit", truncated=True)
    with pytest.raises(AssetError, match="question q: llama-server ran out of room"):
        await bench.ask(ONE)


async def test_samples_have_seeds_of_their_own_that_the_server_takes(bench: Bench) -> None:
    await bench.ask(ONE, sampling=replace(WARM, samples=3))
    sent = requests(bench.programs)
    assert len({request["seed"] for request in sent}) == 3
    assert all(0 <= request["seed"] < 2**32 - 1 for request in sent)
    assert {request["temperature"] for request in sent} == {0.8}


async def test_likelihoods_are_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="does not rate the likelihood"):
        await bench.engine.loglikelihood([Continuation((1,), (2,))])


@pytest.mark.skipif("TVMERGE_LLAMA_CPP" not in os.environ, reason="TVMERGE_LLAMA_CPP names no llama.cpp")
async def test_the_real_server_answers_as_transformers_does(tmp_path: Path) -> None:
    programs = Path(os.environ["TVMERGE_LLAMA_CPP"])
    model = shutil.copytree(save_convertible_demo(tmp_path / "demo") / "target", tmp_path / "model")
    tools = await open_tools(["f32"], programs)
    [file] = await GgufFolder(model).write(tools, "F32", lambda text: None)
    server, plain = find_program(SERVER, programs), PlainModel(model)
    engine = LlamaServerEngine(server, file.path, ChatFormat(model), stop_tokens=stop_ids(model), context=256)
    try:
        found = await answers_of(engine, Recipe({}), demo_questions(8), GREEDY)
    finally:
        await engine.close()
    for question in demo_questions(8):
        assert found[question.question_id, 0].turns == plain.answer(question, 24)
