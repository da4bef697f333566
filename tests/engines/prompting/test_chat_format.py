"""Chat templates: which is meant, what they are told, what they write of a run's questions."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.engines.byte_tokenizer import save_byte_tokenizer
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.preflight import check_prompts
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.records import Question

PLAIN = "{% for m in messages %}{{ m.content }}</s>{% endfor %}"
THINKING = PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
ASK = [{"role": "user", "content": "a"}]
ROWS = 1000
QUESTIONS = [Question(number, "any", ("a", "b")) for number in range(3)]


def chat_of(folder: Path, template: Any, **settings: Any) -> ChatFormat:
    save_byte_tokenizer(folder, template, ["</s>"], eos_token="</s>")
    return ChatFormat(folder, **settings)


def test_of_several_templates_the_default_is_meant(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": PLAIN}]
    chat = chat_of(tmp_path, named)
    assert chat.render(ASK) == "a</s>"
    assert chat.identity == PLAIN


def test_several_templates_without_a_default_are_named_with_the_way_out(tmp_path: Path) -> None:
    named = [{"name": "rag", "template": PLAIN}, {"name": "chat", "template": PLAIN}]
    chat = chat_of(tmp_path, named)
    with pytest.raises(
        CheckpointError, match=r"\(chat, rag\) none is called 'default'.*--chat-template FILE"
    ):
        check_prompts(chat, QUESTIONS, ROWS)
    file = tmp_path / "chosen.jinja"
    file.write_text(PLAIN, encoding="utf-8")
    assert not check_prompts(ChatFormat(tmp_path, file), QUESTIONS, ROWS)


def test_texts_as_they_stand_need_no_template(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, None)
    assert chat.encode_text("a")
    assert not check_prompts(chat, (), ROWS)
    with pytest.raises(CheckpointError, match="has no chat template; pass one with --chat-template FILE"):
        check_prompts(chat, QUESTIONS, ROWS)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m.content }}", "question 0, turn 1: .*Unexpected end of template"),
        ("{{ messages[0].content.shout() }}", "question 0, turn 1: the chat template fails: .*shout"),
        (
            "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}",
            "question 0, turn 2: the chat template fails: one turn only",
        ),
        (
            "{% if messages | length > 2 %}{{ messages.none.none }}{% endif %}",
            "question 0, turn 2: the chat template fails: 'list object' has no attribute 'none'",
        ),
    ],
)
def test_a_template_that_fails_names_the_question_before_anything_is_asked(
    tmp_path: Path, template: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        check_prompts(chat_of(tmp_path, template), QUESTIONS, ROWS)


def test_a_template_may_fail_on_one_question_alone(tmp_path: Path) -> None:
    template = "{% if '?' in messages[0].content %}{{ raise_exception('no questions') }}{% endif %}" + PLAIN
    questions = [*QUESTIONS, Question(7, "any", ("why?",))]
    with pytest.raises(
        CheckpointError,
        match=r"^question 7, turn 1: the chat template fails: no questions; .* --chat-template$",
    ):
        check_prompts(chat_of(tmp_path, template), questions, ROWS)


def test_variables_reach_the_template(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, THINKING, arguments={"enable_thinking": False})
    assert chat.render(ASK) == "a</s><think></think>"
    assert ChatFormat(tmp_path).render(ASK) == "a</s>"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("enable_thinkin", "the chat template does not use 'enable_thinkin'"),
        ("add_generation_prompt", "'add_generation_prompt' is set by tvmerge"),
        ("messages", "'messages' is set by tvmerge"),
    ],
)
def test_variables_that_change_nothing_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chat_of(tmp_path, THINKING, arguments={name: True})


FORMATS = ("%d %b %Y", "%Y-%m-%d", "%A, %-d %B", "100%% %%d %j", "%H:%M:%S", "day %d of %B")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("day", [date(2026, 3, 4), date(2024, 12, 31)])
def test_a_date_is_written_as_python_writes_it(tmp_path: Path, form: str, day: date) -> None:
    template = "\n{% set now = strftime_now('" + form + "') %}Today: {{ now }}.\n" + PLAIN
    written = chat_of(tmp_path, template, day=day).render(ASK)
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert written == f"\nToday: {moment.strftime(form)}.\na</s>"


def test_a_template_that_asks_for_the_date_writes_what_transformers_writes_today(tmp_path: Path) -> None:
    template = (
        "{%- macro head() -%}[{{ strftime_now('%d %b %Y') }}]{%- endmacro -%}\n"
        "  {% if strftime_now is defined %}{{ head() }}{% endif %}\n" + PLAIN
    )
    chat = chat_of(tmp_path, template)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path)
    before = datetime.now(UTC).astimezone().date()
    theirs = tokenizer.apply_chat_template(ASK, tokenize=False, add_generation_prompt=True)
    after = datetime.now(UTC).astimezone().date()
    assert theirs in {chat.on(day).render(ASK) for day in (before, after)}


@pytest.mark.parametrize(
    ("template", "arguments", "dated"),
    [
        ("{{ strftime_now('%d') }}" + PLAIN, {}, True),
        ("{{ strftime_now('%A') }}" + PLAIN, {}, True),
        ("{{ today if today is defined else strftime_now('%d') }}" + PLAIN, {"today": "1 May"}, False),
        ("{% if messages | length > 2 %}{{ strftime_now('%y') }}{% endif %}" + PLAIN, {}, True),
        ("{% if tools %}{{ strftime_now('%d') }}{% endif %}" + PLAIN, {}, False),
        (PLAIN, {}, False),
    ],
)
def test_whether_prompts_depend_on_the_date_is_seen_in_the_prompts(
    tmp_path: Path, template: str, arguments: dict[str, str], dated: bool
) -> None:
    assert check_prompts(chat_of(tmp_path, template, arguments=arguments), QUESTIONS, ROWS) == dated


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path.name} has no tokenizer")):
        ChatFormat(tmp_path)


def test_a_prompt_with_a_token_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, PLAIN)
    last = chat.tokenizer.convert_tokens_to_ids("</s>")
    assert not check_prompts(chat, QUESTIONS, last + 1)
    with pytest.raises(
        CheckpointError, match=f"question 0, turn 1: .*'</s>', number {last} .* end at row {last - 1}"
    ):
        check_prompts(chat, QUESTIONS, last)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            r"has no end: it takes more than 1\.1 s",
        ),
        ("{{ 'x' * 10 ** 10 }}", "has no end: it takes more than 1024 MiB of memory"),
        ("{{ '%9999999999d' % 1 }}", "has no end: it takes more than"),
        ("{{ 7 ** (9 ** 12) }}", r"has no end: it takes more than"),
        ("{{ 'x' * 20000000 }}", "question 0, turn 1: the chat template writes 20,000,000 characters"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "question 0, turn 1: the chat template fails: Range"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "question 0, turn 1: the chat template fails"),
    ],
)
def test_a_template_without_an_end_is_refused_before_anything_is_asked(
    tmp_path: Path, template: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.engines.prompting.chat_format.SECONDS", 0.5)
    chat = chat_of(tmp_path, template)
    with pytest.raises(CheckpointError, match=expected) as caught:
        check_prompts(chat, QUESTIONS, ROWS)
    assert "\n" not in str(caught.value)
    if "no end" in expected:
        with pytest.raises(CheckpointError, match="no end"):
            chat.refuse_endless()
