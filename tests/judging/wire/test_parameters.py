"""What may be asked of a model."""

from __future__ import annotations

import pytest

from tvmerge.judging.client.chat import InvalidRequestError, ParameterRefusedError
from tvmerge.judging.providers import anthropic, openai
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.parameters import (
    MAX_TOKENS,
    THINKING_TOKENS,
    Capabilities,
    ModelParameters,
    capabilities,
    named_parameters,
)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-4", "local-model", "Qwen/Qwen3-8B"])
def test_a_plain_model_takes_temperature_and_max_tokens(model: str) -> None:
    assert capabilities(openai.MODELS, model).defaults() == {"max_tokens": MAX_TOKENS, "temperature": 0}


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.1-mini", "gpt-6.1-sol", "openai/gpt-5"]
)
def test_a_reasoning_model_takes_neither(model: str) -> None:
    assert capabilities(openai.MODELS, model).defaults() == {"max_completion_tokens": THINKING_TOKENS}


@pytest.mark.parametrize(
    ("model", "structured"), [("gpt-4", False), ("gpt-4-turbo", False), ("gpt-4o", True), ("gpt-4.1", True)]
)
def test_the_first_gpt_4_enforces_no_schema(model: str, structured: bool) -> None:
    assert capabilities(openai.MODELS, model).structured is structured


def test_a_parameter_of_the_judge_file_overrules_the_table() -> None:
    known = capabilities(openai.MODELS, "my-model", {"max_completion_tokens": 100})
    assert "max_tokens" not in known.defaults()


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        (
            "max_tokens",
            Capabilities(length_parameter="max_completion_tokens", refused=frozenset({"max_tokens"})),
        ),
        ("temperature", Capabilities(temperature=False)),
        ("response_format.json_schema", Capabilities(structured=False)),
        ("system", Capabilities(system=False)),
        ("messages", None),
        ("model", None),
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
    known = capabilities(anthropic.MODELS, model)
    assert known.temperature is temperature
    assert known.reasoning is not temperature


@pytest.mark.parametrize(
    ("param", "said", "named"),
    [
        ("temperature", "Unsupported value", ["temperature"]),
        ("", "invalid temperature: only 1 is allowed for this model", ["temperature"]),
        ("", "gpt-5 models don't support temperature=0.0", ["temperature"]),
        ("", "`temperature` is deprecated for this model.", ["temperature"]),
        ("", "temperature参数不支持", ["temperature"]),
        ("", "Unrecognized request argument supplied: max_completion_tokens", ["max_completion_tokens"]),
        ("response_format.json_schema", "no", ["structured"]),
        ("", "'response_format' of type json_schema is not supported", ["structured"]),
        ("messages[0].role", "'messages[0].role' does not support 'system' with this model", ["system"]),
        ("", "System role not supported", ["system"]),
        ("", "Developer instruction is not enabled for models/gemma-3-27b-it", ["system"]),
        ("", "Conversation roles must alternate user/assistant/user/assistant/...", ["system"]),
        ("messages", "bad request", []),
        ("", "The temperature in Kyoto is pleasant", []),
        ("", "max_tokens_per_minute is invalid", []),
    ],
)
def test_a_refused_parameter_is_found_by_its_field_or_in_the_words(
    param: str, said: str, named: list[str]
) -> None:
    assert named_parameters(param, said) == named


def refused(said: str, param: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(said, said=said, status=400, param=param)


def body(parameters: ModelParameters) -> dict[str, object]:
    system, user = parameters.texts("Be fair.", "Rate this.")
    roles = [{"role": "system", "content": system}] if system else []
    return {"model": "m", "messages": [*roles, {"role": "user", "content": user}], **parameters.values}


def test_everything_that_can_be_given_up_is_given_up_once_and_then_it_is_an_error() -> None:
    parameters = ModelParameters(JudgeSpec("j", "openai", model="m"))
    everything = refused(
        "temperature, max_tokens, max_completion_tokens: not supported; System role not supported"
    )
    given_up, instead = [], {}
    while isinstance(error := parameters.learn(everything, body(parameters)), ParameterRefusedError):
        given_up.append(error.param)
        instead[error.param] = error.instead
    assert sorted(map(str, given_up)) == ["max_completion_tokens", "max_tokens", "system", "temperature"]
    assert {param for param in instead if instead[param]} == {"max_tokens"}
    assert instead["max_tokens"] == "max_completion_tokens"
    assert body(parameters) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Be fair.\n\nRate this."}],
    }


def test_what_was_answered_with_is_not_given_up_for_one_text() -> None:
    parameters = ModelParameters(JudgeSpec("j", "openai", model="m"))
    parameters.answered(body(parameters))
    error = refused("invalid temperature", "temperature")
    assert parameters.learn(error, body(parameters)) is error
    assert parameters.values["temperature"] == 0


def test_a_request_that_was_on_its_way_meanwhile_is_outdated() -> None:
    parameters = ModelParameters(JudgeSpec("j", "openai", model="m"))
    before, outdated = body(parameters), parameters.outdated()
    assert not outdated()
    error = refused("invalid temperature", "temperature")
    assert isinstance(parameters.learn(error, before), ParameterRefusedError)
    assert outdated()
    assert isinstance(parameters.learn(error, before), ParameterRefusedError)
    assert parameters.learn(error, body(parameters)) is error


def test_what_a_provider_needs_or_the_user_set_is_not_given_up() -> None:
    needed = ModelParameters(JudgeSpec("j", "anthropic", model="m"), needed=("max_tokens",))
    error = refused("max_tokens: not supported")
    assert needed.learn(error, body(needed)) is error
    own = ModelParameters(JudgeSpec("j", "openai", model="m", parameters={"temperature": 0.5}))
    error = refused("temperature: not supported")
    assert own.learn(error, body(own)) is error


def test_a_system_message_can_be_left_out_from_the_beginning() -> None:
    parameters = ModelParameters(JudgeSpec("j", "openai", model="m", omit_parameters=("system",)))
    assert parameters.texts("Be fair.", "Rate this.") == ("", "Be fair.\n\nRate this.")
