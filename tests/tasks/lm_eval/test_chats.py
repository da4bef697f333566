"""Prompts of tasks in the chat template: lm-eval writes the same, and finds the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import (
    CITIES,
    PLACES,
    answers_to,
    by_lm_eval,
    load,
    metric,
    write_task,
)
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.errors import ConfigError
from tvmerge.tasks.lm_eval import loading
from tvmerge.tasks.lm_eval.chats import ChatWriter
from tvmerge.tasks.lm_eval.documents import Prompting
from tvmerge.tasks.lm_eval.judge import unpack
from tvmerge.tasks.lm_eval.task import HarnessTask

ROWS: list[dict[str, Any]] = [
    {"text": f"{place}の首都は？", "choices": [city, "別"], "gold": n % 2, "answer": city}
    for n, (place, city) in enumerate(zip(PLACES, CITIES, strict=True))
]
STRICT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system text') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write(folder: Path) -> list[str]:
    shots: dict[str, Any] = {"num_fewshot": 2, "fewshot_split": "test", "doc_to_text": "{{text}}"}
    return [
        write_task(
            folder,
            "chat_choice",
            ROWS,
            output_type="multiple_choice",
            description="都市を答えてください。",
            doc_to_target="gold",
            doc_to_choice="choices",
            metric_list=[metric("acc")],
            **shots,
        ),
        write_task(
            folder,
            "chat_begun",
            ROWS,
            output_type="multiple_choice",
            gen_prefix="答え：",
            doc_to_target="gold",
            doc_to_choice="choices",
            metric_list=[metric("acc")],
            **shots,
        ),
        write_task(
            folder,
            "chat_text",
            ROWS,
            output_type="generate_until",
            doc_to_target="answer",
            generation_kwargs={"until": ["。"], "max_gen_toks": 16, "do_sample": False},
            metric_list=[metric("exact_match")],
            **shots,
        ),
    ]


def in_chats(tasks: tuple[HarnessTask, ...], writer: ChatWriter, **more: Any) -> tuple[HarnessTask, ...]:
    return loading.in_chats(tasks, Prompting(chat=writer, **more))


@pytest.mark.parametrize(
    "flags",
    [
        {"fewshot_as_multiturn": True},
        {"fewshot_as_multiturn": False, "system_instruction": "日本語で。"},
    ],
)
def test_chats_are_asked_and_answered_as_by_lm_eval(
    flags: dict[str, Any], demo_models: Path, tmp_path: Path
) -> None:
    plain = load(write(tmp_path), tmp_path)
    system = flags.get("system_instruction")
    writer = ChatWriter(ChatFormat(demo_models / "target"))
    tasks = in_chats(plain, writer, system_instruction=system, multiturn=flags["fewshot_as_multiturn"])
    assert [task.digest for task in tasks] != [task.digest for task in plain]
    assert [task.questions for task in tasks] == [task.questions for task in plain]
    answers = {answer.question_id: answer for answer in answers_to(demo_models, tasks)}
    theirs = by_lm_eval(demo_models / "target", tasks, apply_chat_template=True, **flags)
    for task in tasks:
        for document, sample in zip(task.documents, theirs["samples"][task.name], strict=True):
            assert [request.args for request in document.requests] == sample["arguments"]
            said = unpack(answers[document.question.question_id].turns[0])
            for (own,), (other,) in zip(said, sample["resps"], strict=True):
                if isinstance(own, str):
                    assert own.strip() == other.strip()
                else:
                    assert own[0] == pytest.approx(other[0], rel=1e-5)


def test_a_template_without_system_messages_goes_without(demo_models: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.jinja").write_text(STRICT, encoding="utf-8")
    writer = ChatWriter(ChatFormat(demo_models / "target", tmp_path / "strict.jinja"))
    (task,) = in_chats(load(write(tmp_path)[:1], tmp_path), writer)
    assert task.documents[0].requests[0].args[0].startswith("<user>")
    assert "no system text" in writer.refused


def test_a_template_that_fails_is_told_with_the_document(demo_models: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jinja").write_text("{{ messages[7]['content'] }}", encoding="utf-8")
    writer = ChatWriter(ChatFormat(demo_models / "target", tmp_path / "broken.jinja"))
    tasks = load(write(tmp_path)[:1], tmp_path)
    with pytest.raises(ConfigError, match=r"^task 'chat_choice', document 0: the chat template fails: "):
        in_chats(tasks, writer)
