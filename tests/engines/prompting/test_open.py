"""Which models are heard about where answers end, and what goes into written models."""

from __future__ import annotations

import json
import shutil
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.talkers import FAMILIES, make_family
from tvmerge._util.caches import Caches
from tvmerge.config import ChatConfig, MergeConfig
from tvmerge.engines.prompting.open import ChatRecord, chat_of_merge, find_stop_tokens, open_chat
from tvmerge.engines.prompting.stop_tokens import StopTokens
from tvmerge.merging.build import open_models
from tvmerge.merging.merge import Merge

QWEN, LLAMA = FAMILIES["qwen"], FAMILIES["llama"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_family(QWEN, tmp_path)


def opened(folder: Path, **settings: Any) -> Merge:
    names = {"target_model": "target", "base_model": "base", "tuned_model": "tuned"}
    paths: dict[str, Any] = {key: str(folder / name) for key, name in names.items()}
    with closing(Caches()) as caches:
        return open_models(
            MergeConfig(**{**paths, "target_model": (paths["target_model"],), **settings}), caches
        )


def found(models: Merge, **settings: Any) -> StopTokens:
    config = ChatConfig(**settings)
    return find_stop_tokens(open_chat(config, models), config, models)


def named(stops: StopTokens) -> dict[str, tuple[str, ...]]:
    return {token.text: token.named_by for token in stops.tokens}


def edit(file: Path, **values: Any) -> None:
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**data, **values}), encoding="utf-8")


def test_numbers_of_a_tuned_model_mean_its_own_tokens(folder: Path) -> None:
    """Its tokens are the target's in another order, and so are its rows."""
    tuned = folder / "tuned"
    text = (tuned / "tokenizer.json").read_text(encoding="utf-8")
    for old, new in (("<|im_end|>", "?"), ("<|im_start|>", "<|im_end|>"), ("?", "<|im_start|>")):
        text = text.replace(f'"{old}"', f'"{new}"')
    (tuned / "tokenizer.json").write_text(text, encoding="utf-8")
    edit(tuned / "generation_config.json", eos_token_id=2)
    stops = found(opened(folder, vocab="skip"))
    assert named(stops) == {"<|im_end|>": ("chat template", "tuned"), "<|text|>": ("target", "tuned")}
    assert stops.ids == (1, 0)


@pytest.mark.parametrize("number", [QWEN.tokens.index("user"), 99])
def test_a_default_of_the_configuration_is_no_stop_token(folder: Path, number: int) -> None:
    """A tuned model's `config.json` may hold a number that means nothing in its vocabulary."""
    (folder / "tuned" / "generation_config.json").unlink()
    edit(folder / "tuned" / "config.json", eos_token_id=number)
    assert named(found(opened(folder))) == {"<|im_end|>": ("chat template",), "<|text|>": ("target", "tuned")}


def test_what_transformers_obeys_of_the_target_is_heeded_whatever_it_is(folder: Path) -> None:
    edit(folder / "target" / "generation_config.json", eos_token_id=[QWEN.tokens.index("user")])
    assert named(found(opened(folder)))["user"] == ("target",)


def test_a_number_beyond_the_vocabulary_is_said_to_mean_nothing(folder: Path) -> None:
    edit(folder / "tuned" / "generation_config.json", eos_token_id=[1, 99])
    assert found(opened(folder)).remarks == ("tuned stops at token 99, which its tokenizer lacks",)


def test_of_an_adapter_its_folder_and_its_base_are_heard(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = make_family(LLAMA, tmp_path)
    factory: Any = AutoModelForCausalLM
    base = factory.from_pretrained(folder / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft calls what is deprecated
        adapted: Any = get_peft_model(base, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    shutil.rmtree(folder / "tuned")
    adapted.save_pretrained(folder / "tuned")
    edit(folder / "base" / "tokenizer_config.json", eos_token="<|head|>")
    edit(folder / "base" / "generation_config.json", eos_token_id=4)
    models = opened(folder)
    heard = named(found(models))
    assert heard["<|/head|>"] == heard["<|head|>"] == ("base",)
    assert "<|turn|>" not in heard
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / "target" / file, folder / "tuned" / file)
    edit(folder / "tuned" / "tokenizer_config.json", eos_token="<|turn|>")
    assert named(found(models))["<|turn|>"] == ("tuned",)


def test_several_vectors_and_targets_are_all_heard(tmp_path: Path) -> None:
    folder = make_family(LLAMA, tmp_path)
    edit(folder / "base" / "tokenizer_config.json", eos_token="<|head|>")
    vectors = [
        {"name": name, "tuned": str(folder / model), "base": str(folder / "target")}
        for name, model in (("chat", "tuned"), ("other", "base"))
    ]
    merge = {"tuned_model": None, "base_model": None, "task_vectors": vectors}
    stops = named(found(opened(folder, **merge)))
    assert stops["<|turn|>"] == ("chat/tuned",)
    assert stops["<|head|>"] == ("other/tuned",)
    two = (str(folder / "target"), str(folder / "tuned"))
    mixture = found(opened(folder, target_model=two, gate="uniform"))
    assert named(mixture)["<|turn|>"] == ("target.1",)


def test_the_tokenizer_keeps_its_end_of_text_where_the_template_writes_it(folder: Path) -> None:
    text = "{{ eos_token }}" + QWEN.template
    edit(folder / "target" / "tokenizer_config.json", chat_template=text)
    stops = found(opened(folder))
    assert stops.eos is None
    assert stops.remarks == ("the tokenizer's eos_token stays <|text|>, since the chat template writes it",)


def test_a_template_that_closes_turns_in_plain_text_is_told(folder: Path) -> None:
    plain = "{% for m in messages %} <|im_start|> {{ m.role }} {{ m.content }} assistant{% endfor %}"
    edit(folder / "target" / "tokenizer_config.json", chat_template=plain)
    record, lines = chat_of_merge(ChatConfig(), opened(folder))
    assert record.stops.texts == ("<|text|>", "<|im_end|>")
    assert lines[1].startswith(
        "the chat template closes a turn with 'assistant', which is not a single token"
    )


def test_an_expert_gets_the_files_of_its_own_target(tmp_path: Path) -> None:
    folder = make_family(LLAMA, tmp_path)
    edit(folder / "tuned" / "generation_config.json", temperature=0.5, do_sample=True)
    two = (str(folder / "target"), str(folder / "tuned"))
    models = opened(folder, target_model=two, gate="uniform")
    record, _ = chat_of_merge(ChatConfig(stop_token=("<|head|>",)), models)
    first, second = (json.loads(record.files(Path(one))["generation_config.json"]) for one in two)
    assert first["eos_token_id"] == second["eos_token_id"]
    assert "temperature" not in first
    assert second["temperature"] == 0.5


def test_a_record_comes_back_from_a_study_as_it_was(folder: Path) -> None:
    models = opened(folder)
    record = ChatRecord(found(models), {"chat_template.jinja": "x"}, {"level": "low"})
    stored = json.loads(json.dumps(record.as_json()))
    assert ChatRecord.from_json(stored) == record
    assert ChatRecord.from_json({"texts": {}}) == ChatRecord()
    assert replace(record, stops=StopTokens()).files(folder / "target") == {"chat_template.jinja": "x"}
