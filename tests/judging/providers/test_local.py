"""The local judge: a real, tiny Cohere-architecture model, made here, taught to say one thing."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast

from tvmerge._util.cache import ContentCache
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.judging.client.chat import ChatReply, TooLongError
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.local.checkpoint import identity
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.providers.local import LocalChat
from tvmerge.judging.registry import create_judge, find_spec
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Question, Rating

_cuda: Any = torch.backends.cuda
REPLY = "Rating: [[7]]"
FORM = RatingFormat()
_FastTokenizer: Any = PreTrainedTokenizerFast
_Model: Any = AutoModelForCausalLM
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<eos>", "<unk>", "<|system|>", "<|user|>", "<|assistant|>"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Command-R in miniature that answers every prompt with a rating of 7."""
    path = tmp_path_factory.mktemp("judge") / "tiny-command-r"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = CohereConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        logit_scale=1.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    model = _Model.from_config(config)
    teach(model, tokenizer)
    model.save_pretrained(path)
    return path


def make_tokenizer() -> Any:
    """One token a character: those of the reply, and one for all others."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *sorted(set(REPLY))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return _FastTokenizer(
        tokenizer_object=tokenizer,
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=SPECIAL[2:],
        chat_template=TEMPLATE,
    )


def teach(model: Any, tokenizer: Any) -> None:
    """Overfit: whatever the prompt, say the reply and end."""
    reply = torch.tensor([*tokenizer(REPLY)["input_ids"], tokenizer.eos_token_id])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        prompt = torch.randint(0, len(tokenizer), (8, 12))
        prompt[:, -1] = tokenizer.convert_tokens_to_ids("<|assistant|>")
        ids = torch.cat([prompt, reply.expand(8, -1)], dim=1)
        labels = torch.cat([torch.full_like(prompt, -100), reply.expand(8, -1)], dim=1)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def spec_of(folder: Path, **settings: Any) -> JudgeSpec:
    values = {"dtype": "float32", "device_map": "cpu", "parameters": {"max_new_tokens": 20}, **settings}
    return JudgeSpec(
        name="tiny", provider="local", model=str(folder), key_required=False, timeout=None, **values
    )


async def ask(spec: JudgeSpec, *prompts: str, system: str = "") -> list[ChatReply]:
    chat = LocalChat(spec)
    try:
        return await asyncio.gather(*(chat.send(chat.request(system, p, FORM)) for p in prompts))
    finally:
        await chat.close()


async def test_a_judge_on_this_machine_rates_a_batch_for_several_tasks_at_once(
    folder: Path, cache: ContentCache
) -> None:
    prompts = {"single-v1": JudgePrompt("single-v1", "single", "", "{question}{answer}", "[[rating]]")}
    question = Question("q", "writing", ("俳句を詠んで。",))
    judge = create_judge(
        spec_of(folder, batch_size=4), prompts, [question], policy=RequestPolicy(cache=cache)
    )
    answers = [Answer("q", (f"古池や{'蛙' * n}",)) for n in range(10)]
    judgments = await asyncio.gather(*(judge.judge(question, answer) for answer in answers))
    await judge.close()
    assert [judgment.score for (judgment,) in judgments if isinstance(judgment, Rating)] == [7.0] * 10
    assert len(cache) == 10


@pytest.mark.parametrize("allowed", [False, True])
async def test_cudnns_attention_is_off_while_a_judge_is_loaded_unless_its_file_allows_it(
    folder: Path, allowed: bool
) -> None:
    chat = LocalChat(spec_of(folder, cudnn_attention=allowed))
    assert _cuda.cudnn_sdp_enabled()
    await chat.send(chat.request("", "評価して", FORM))
    assert _cuda.cudnn_sdp_enabled() == allowed
    await chat.close()
    assert _cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
async def test_a_batch_that_does_not_fit_into_memory_is_halved(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    prompts = [f"評価して{'R' * n}" for n in range(7)]
    expected = await ask(spec_of(folder), *prompts)
    rows = limit(monkeypatch, 2, error)
    assert await ask(spec_of(folder), *prompts) == expected
    assert max(rows) > 2


async def test_a_prompt_that_does_not_fit_alone_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 0, RuntimeError("CUDA error: out of memory"))
    with pytest.raises(ConfigError, match="leaves no memory for generation; set max_memory or quantization"):
        await ask(spec_of(folder), "x", "y")


async def test_a_judge_that_does_not_fit_into_memory_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", full)
    with pytest.raises(CheckpointError, match="does not fit into the free memory; set quantization"):
        await ask(spec_of(folder), "x")


def limit(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> list[int]:
    """Have Command-R run out of memory for more than `most` rows; returns the rows of each try."""
    rows: list[int] = []
    forward = CohereForCausalLM.forward

    @wraps(forward)
    def read(self: Any, input_ids: torch.Tensor, **given: Any) -> Any:
        rows.append(input_ids.shape[0])
        if rows[-1] > most:
            raise error
        return forward(self, input_ids, **given)

    monkeypatch.setattr(CohereForCausalLM, "forward", read)
    return rows


async def test_it_runs_in_4_bits(folder: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    spec = spec_of(folder, quantization="4bit", dtype="bfloat16")
    try:
        (reply,) = await ask(spec, "評価して")
    except CheckpointError as error:
        pytest.skip(f"bitsandbytes cannot quantise here: {error}")
    assert reply.text.startswith("Rating")


async def test_a_reply_does_not_depend_on_its_batch(folder: Path) -> None:
    prompts = ["短い", "とても" * 30, "R" * 50]
    for settings in ({}, {"parameters": {"max_new_tokens": 20, "temperature": 3.0}}):
        together = await ask(spec_of(folder, **settings), *prompts)
        alone = [(await ask(spec_of(folder, **settings), prompt))[0] for prompt in prompts]
        assert together == alone


async def test_samples_differ_and_repeat(folder: Path) -> None:
    spec = spec_of(folder, parameters={"max_new_tokens": 20, "temperature": 5.0})

    async def three() -> list[ChatReply]:
        chat = LocalChat(spec)
        requests = [chat.request("", "評価して", FORM, sample=sample) for sample in range(3)]
        replies = await asyncio.gather(*(chat.send(request) for request in requests))
        await chat.close()
        return list(replies)

    first = await three()
    assert len({reply.text for reply in first}) == 3
    assert await three() == first


async def test_a_greedy_reply_that_was_no_use_is_drawn_anew(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    undecided(copy)
    chat = LocalChat(spec_of(copy))
    first = chat.request("", "評価して", FORM)
    again = [replace(first, attempt=attempt) for attempt in range(1, 6)]
    greedy, same, *drawn = await asyncio.gather(*(chat.send(r) for r in (first, first, *again)))
    repeated = await asyncio.gather(*(chat.send(request) for request in again))
    await chat.close()
    assert greedy == same
    assert len({reply.text for reply in drawn}) > 1
    assert repeated == drawn
    assert {request.key for request in again} == {first.key}


def undecided(folder: Path) -> None:
    """Flatten what the model knows: it hardly prefers one token to another."""
    model = _Model.from_pretrained(folder)
    model.config.logit_scale = 0.1
    model.save_pretrained(folder)


async def test_how_a_reply_ended_and_what_it_took_is_told(folder: Path) -> None:
    (whole,) = await ask(spec_of(folder), "ab")
    (cut,) = await ask(spec_of(folder, parameters={"max_new_tokens": 5}), "ab")
    assert (whole.text, whole.finish, cut.text, cut.finish) == (REPLY, "stop", REPLY[:5], "length")
    assert whole.usage is not None
    assert (whole.usage.input, whole.usage.output) == (4, len(REPLY) + 1)


async def test_a_prompt_longer_than_the_context_is_told_apart_and_the_others_go_on(folder: Path) -> None:
    chat = LocalChat(spec_of(folder))
    requests = [chat.request("", prompt, FORM) for prompt in ("x", "y" * 2000, "z")]
    outcomes = await asyncio.gather(*(chat.send(r) for r in requests), return_exceptions=True)
    await chat.close()
    assert [type(outcome) for outcome in outcomes] == [ChatReply, TooLongError, ChatReply]


async def test_a_template_without_a_system_message_gets_it_in_the_users(folder: Path, tmp_path: Path) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    copy = copied(folder, tmp_path)
    (copy / "chat_template.jinja").write_text(strict, encoding="utf-8")
    (with_system,) = await ask(spec_of(copy), "user", system="system")
    assert with_system.text == REPLY


def test_the_key_tells_what_decides_a_reply(folder: Path, tmp_path: Path) -> None:
    def key(where: Path, **settings: Any) -> str:
        return LocalChat(spec_of(where, **settings)).request("", "x", FORM).key

    copy = copied(folder, tmp_path)
    assert key(folder) == key(copy)
    assert key(folder, quantization="4bit") != key(folder)
    (copy / "chat_template.jinja").write_text(TEMPLATE + " ", encoding="utf-8")
    assert key(copy) != key(folder)


def copied(folder: Path, into: Path) -> Path:
    copy = into / folder.name
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_folder_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        identity(name)


def test_a_hub_id_is_its_own_identity() -> None:
    assert identity("CohereForAI/c4ai-command-r-plus-4bit") == "CohereForAI/c4ai-command-r-plus-4bit"


def test_the_identity_of_a_judge_sees_a_change_in_the_middle_of_its_weights(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    found = set()
    for byte in (b"a", b"b"):
        weights.write_bytes(bytes(3 << 19) + byte + bytes(3 << 19))
        found.add(identity(str(tmp_path)))
    assert len(found) == 2


async def test_a_model_that_cannot_be_loaded_is_an_error_for_everyone(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        await ask(spec_of(copy), "x", "y")


async def test_a_model_without_a_chat_template_is_an_error(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="has no chat template"):
        await ask(spec_of(copy), "x")


async def test_a_model_whose_chat_template_never_ends_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.judging.local.transformers.SECONDS", 0.2)
    copy = copied(folder, tmp_path)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    (copy / "chat_template.jinja").write_text(loop, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"has no end: it takes more than 0\.2 s"):
        await ask(spec_of(copy), "x")


@pytest.mark.parametrize(
    ("made_of_it", "why"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "has no end"),
        ("{{ 'x' * 10 ** 10 }}", "has no end: it takes more than 1024 MiB"),
        ("{{ 1 / 0 }}", "fails: division by zero"),
        ("{{ raise_exception('too long') }}", "fails: too long"),
        ("{{ messages.x.y }}", "fails: "),
    ],
)
async def test_a_template_that_fails_on_long_texts_alone_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_of_it: str, why: str
) -> None:
    monkeypatch.setattr("tvmerge.judging.local.transformers.SECONDS", 0.5)
    copy = copied(folder, tmp_path)
    long = f"{{% if messages[-1].content | length > 100 %}}{made_of_it}{{% endif %}}"
    (copy / "chat_template.jinja").write_text(long + TEMPLATE, encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"chat template of the judge model .* {re.escape(why)}"):
        await ask(spec_of(copy), "x", "x" * 200)
    assert [reply.text for reply in await ask(spec_of(copy), "x")] == [REPLY]


def test_the_original_scripts_judge_is_found_by_its_name() -> None:
    assert find_spec("cohere").model == "CohereForAI/c4ai-command-r-plus-4bit"


def test_a_folder_with_another_model_in_it_is_another_judge(
    tmp_path: Path, prompts: dict[str, JudgePrompt]
) -> None:
    fingerprints = []
    for content in ("{}", "{ }"):
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
        fingerprints.append(create_judge(find_spec(f"local/{tmp_path}"), prompts).fingerprint)
    assert fingerprints[0] != fingerprints[1]
    assert str(tmp_path) not in str(fingerprints)
