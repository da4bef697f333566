"""What may be asked of a model."""

from __future__ import annotations

import pytest

from tvmerge.judging.providers.capabilities import MAX_TOKENS, THINKING_TOKENS, Capabilities, capabilities


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-4", "local-model", "Qwen/Qwen3-8B"])
def test_a_plain_model_takes_temperature_and_max_tokens(model: str) -> None:
    assert capabilities("openai", model).defaults() == {"max_tokens": MAX_TOKENS, "temperature": 0}


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.1-mini", "gpt-6.1-sol", "openai/gpt-5"]
)
def test_a_reasoning_model_takes_neither(model: str) -> None:
    assert capabilities("openai", model).defaults() == {"max_completion_tokens": THINKING_TOKENS}


@pytest.mark.parametrize(
    ("model", "structured"), [("gpt-4", False), ("gpt-4-turbo", False), ("gpt-4o", True), ("gpt-4.1", True)]
)
def test_the_first_gpt_4_enforces_no_schema(model: str, structured: bool) -> None:
    assert capabilities("openai", model).structured is structured


def test_a_parameter_of_the_judge_file_overrules_the_table() -> None:
    known = capabilities("openai", "my-model", {"max_completion_tokens": 100})
    assert "max_tokens" not in known.defaults()


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        ("max_tokens", Capabilities(length_parameter="max_completion_tokens")),
        ("temperature", Capabilities(temperature=False)),
        ("response_format.json_schema", Capabilities(structured=False)),
        ("messages", None),
        ("top_p", None),
    ],
)
def test_what_a_provider_refuses_is_given_up(refused: str, left: Capabilities | None) -> None:
    assert Capabilities().without(refused, {}) == left


def test_what_was_given_up_or_set_by_the_user_is_not_given_up_again() -> None:
    assert Capabilities(temperature=False).without("temperature", {}) is None
    assert Capabilities().without("temperature", {"temperature": 0.5}) is None


@pytest.mark.parametrize(
    ("model", "temperature"),
    [
        ("claude-3-5-sonnet-20241022", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5-5", False),
    ],
)
def test_claude_takes_a_temperature_up_to_4_6(model: str, temperature: bool) -> None:
    known = capabilities("anthropic", model)
    assert known.temperature is temperature
    assert known.reasoning is not temperature
