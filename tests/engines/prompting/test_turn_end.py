"""With which token templates close an assistant's turn, read off what they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.byte_tokenizer import save_byte_tokenizer
from tests.merging.tokens import save_tokenizer
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.prompting.turn_end import TurnEnd, keeps_prompts, turn_end

SPECIAL = ("<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>", "<|return|>", "<|message|>", "<|channel|>")
HEADERS = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}"
CHANNELS = (
    "{% for m in messages %}<|user|>{{ m.role }}"
    "{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}"
)

CLOSED = {
    "headers with an end, a line break and a prompt on demand": (
        "{{ bos_token }}" + HEADERS + "<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "<|end|>",
    ),
    "the end of text by its role": (HEADERS + "{{ eos_token }}\n{% endfor %}", "</s>"),
    "plain words around it": (
        "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}"
        "{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}",
        "</s>",
    ),
    "an end, and behind the last the end of text": (
        HEADERS + "<|end|>\n{% endfor %}{% if not add_generation_prompt %}{{ eos_token }}{% endif %}",
        "<|end|>",
    ),
    "another end for the last turn": (
        CHANNELS + "{{ '<|return|>' if loop.last and m.role == 'assistant' else '<|end|>' }}{% endfor %}",
        "<|return|>",
    ),
    "one turn, no more": (
        "{% if messages | length > 2 %}{{ raise_exception('one turn') }}{% endif %}"
        + HEADERS
        + "<|end|>\n{% endfor %}",
        "<|end|>",
    ),
    "ends between turns only": (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if not loop.last %}<|end|>{% endif %}"
        "{% endfor %}",
        "<|end|>",
    ),
    "marks for training": (
        "{% for m in messages %}<|{{ m.role }}|>{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
        "{% endfor %}",
        "<|end|>",
    ),
    "a break that is a token of its own": (HEADERS + "\n\n<|end|>\n\n{% endfor %}", "<|end|>"),
}

OPEN = {
    "no end": (HEADERS + "\n{% endfor %}", ""),
    "a prompt that is always there": (HEADERS + "{% endfor %}<|assistant|>\n", ""),
    "a prompt that is always there, one turn": (
        "{% if messages | length > 2 %}{{ raise_exception('one turn') }}{% endif %}"
        + HEADERS
        + "{% endfor %}<|assistant|>\n",
        "",
    ),
    "the beginning of texts": (HEADERS + "{{ bos_token }}{% endfor %}", ""),
    "messages in channels, one end for all": (CHANNELS + "<|end|>{% endfor %}", ""),
    "white space": (HEADERS + "\n\n{% endfor %}", ""),
    "plain text": (HEADERS + "\n\n### End\n{% endfor %}", "'### End', which is not a single token of"),
    "a token the tokenizer does not have": (
        HEADERS + "<|im_end|>\n{% endfor %}",
        "closes a turn with '<|im_end|>",
    ),
    "an answer that is left out": (
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
        "it does not write the assistant's messages",
    ),
    "no answers": (
        "{% if messages | length > 1 %}{{ raise_exception('ask once') }}{% endif %}{{ messages[0].content }}",
        "ask once",
    ),
}


def chat_of(folder: Path, template: str | None) -> ChatFormat:
    save_byte_tokenizer(folder, template, SPECIAL, added=("\n\n",), bos_token="<s>", eos_token="</s>")
    return ChatFormat(folder)


@pytest.mark.parametrize("kind", CLOSED)
def test_the_token_behind_an_answer_closes_it(tmp_path: Path, kind: str) -> None:
    template, closing = CLOSED[kind]
    chat = chat_of(tmp_path, template)
    assert turn_end(chat) == TurnEnd(chat.tokenizer.convert_tokens_to_ids(closing))


@pytest.mark.parametrize("kind", OPEN)
def test_what_is_no_end_of_an_answer_is_taken_for_none(tmp_path: Path, kind: str) -> None:
    template, problem = OPEN[kind]
    found = turn_end(chat_of(tmp_path, template))
    assert found.token is None
    assert problem in found.problem
    assert bool(problem) == bool(found.problem)


def test_a_closing_that_the_vocabulary_has_no_words_for_is_told(tmp_path: Path) -> None:
    template = HEADERS + "<|im_end|>\n{% endfor %}"
    save_tokenizer(tmp_path, ["<unk>", "</s>", "a"], unk_token="<unk>", chat_template=template)
    found = turn_end(ChatFormat(tmp_path))
    assert found.token is None
    assert "closes a turn with '<|im_end|>'" in found.problem


def test_a_model_without_a_template_has_nothing_to_be_read_off(tmp_path: Path) -> None:
    assert turn_end(chat_of(tmp_path, None)) == TurnEnd()


@pytest.mark.parametrize(("written", "kept"), [("<|end|>", True), ("{{ eos_token }}", False)])
def test_prompts_change_with_the_end_of_text_where_the_template_writes_it(
    tmp_path: Path, written: str, kept: bool
) -> None:
    assert keeps_prompts(chat_of(tmp_path, HEADERS + written + "{% endfor %}"), "<|end|>") == kept
