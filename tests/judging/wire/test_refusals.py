"""Statuses and words become our errors."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from tvmerge.errors import (
    CredentialsError,
    ProviderError,
    QuotaError,
    RequestError,
    TransientError,
    UserError,
)
from tvmerge.judging.client.chat import InvalidRequestError, TooLongError, UnknownModelError
from tvmerge.judging.client.quota import RenewedQuotaError
from tvmerge.judging.wire import refusals
from tvmerge.judging.wire.error_details import ErrorDetails, read_error_details
from tvmerge.judging.wire.http import ApiKey

KEY = ApiKey("", "MY_KEY")


def translate(
    status: int,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    code: str | None = None,
    param: str | None = None,
    key: ApiKey = KEY,
) -> ProviderError | UserError:
    details = ErrorDetails(message, codes=frozenset({code} if code else ()), param=param)
    return refusals.translate(status, details, headers=headers or {}, key=key)


@pytest.mark.parametrize("status", [408, 409, 424, 425, 429, 498, 499, 500, 502, 503, 504, 520, 524, 529])
def test_what_passes_is_transient(status: int) -> None:
    error = translate(status, "later", headers={"retry-after": "3"}, key=KEY)
    assert isinstance(error, TransientError)
    assert (error.status, error.retry_after) == (status, 3.0)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (429, "You exceeded your current quota", "insufficient_quota"),
        (402, "Payment required", None),
        (400, "Your credit balance is too low", "billing_not_active"),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month", None),
        (429, "quotaId: GenerateRequestsPerDayPerProjectPerModel-FreeTier", None),
        (429, "You exceeded your current token quota", "exceeded_current_quota_error"),
        (400, "Access denied, see that your account is in good standing.", "arrearage"),
        (403, "The free tier of the model has been exhausted.", None),
        (403, "Your newly created team doesn't have any credits yet.", None),
        (429, "Your team has used all available credits or reached its monthly spending limit.", None),
        (400, "You have reached your specified API usage limits.", None),
        (412, "Account suspended due to unpaid invoices", None),
        (429, "you have used up your daily free allocation of 10,000 neurons", None),
        (429, "已达到 5 小时的使用上限", None),
    ],
)
def test_an_empty_account_is_not_transient(status: int, message: str, code: str | None) -> None:
    assert isinstance(translate(status, message, headers={}, code=code, key=KEY), QuotaError)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_key_is_not_quoted_whole_or_in_part(status: int) -> None:
    key = ApiKey("sk-abcdefghi-1234567890", "MY_KEY")
    words = f"Incorrect API key provided: {key.secret} (sk-ab***67890). Find yours at /keys"
    error = translate(status, words, key=key)
    assert isinstance(error, CredentialsError)
    assert "sk-ab" not in str(error) + repr(key)
    assert "7890" not in str(error)
    assert str(error).endswith("Incorrect API key provided: *** *** Find yours at /keys): check MY_KEY")


def test_a_key_that_the_provider_echoes_is_blotted_out() -> None:
    error = translate(500, "crashed with key sk-abc", headers={}, key=ApiKey("sk-abc", "MY_KEY"))
    assert str(error) == "HTTP 500: crashed with key ***"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Invalid prompt: we've limited repetitive patterns", "invalid_prompt"),
        ("The response was filtered", "content_filter"),
        ("triggered Azure OpenAI's content management policy", None),
    ],
)
def test_a_refused_text_is_about_content(message: str, code: str | None) -> None:
    error = translate(400, message, headers={}, code=code, key=KEY)
    assert isinstance(error, RequestError)
    assert error.about_content


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (413, None)])
def test_a_prompt_that_is_too_long_is_told_apart(status: int, code: str | None) -> None:
    assert isinstance(translate(status, "too much", headers={}, code=code, key=KEY), TooLongError)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens",
        "the request exceeds the available context size, try increasing it",
        "too many tokens: size limit exceeded",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
        "the length of message exceeds limit",
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart_by_words(message: str) -> None:
    assert isinstance(translate(400, message, headers={}, key=KEY), TooLongError)


def test_a_malformed_request_names_its_parameter() -> None:
    error = translate(400, "Unsupported parameter", headers={}, param="temperature", key=KEY)
    assert isinstance(error, RequestError)
    assert isinstance(error, InvalidRequestError)
    assert error.param == "temperature"
    assert error.certain
    assert str(error) == (
        "the judge's provider refuses the request (HTTP 400: Unsupported parameter): check the judge's model "
        "and parameters; `omit_parameters` in its file leaves one out"
    )


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 6s. Visit", 6.0),
        ("Please try again in 1m30s.", 90.0),
        ("try again in 120ms", 0.12),
        ("'@type': 'RetryInfo', 'retryDelay': '36s'", 36.0),
        ("Please retry after 26 seconds.", 26.0),
        ("please try again after 1 second", 1.0),
        ("try again in 2 minutes", 120.0),
        ("try again after 1h30m", 5400.0),
        ("try again later", None),
        ("slow down", None),
    ],
)
def test_a_wait_that_only_the_message_tells_is_read(message: str, seconds: float | None) -> None:
    error = translate(429, message, headers={}, key=KEY)
    assert isinstance(error, TransientError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Content Exists Risk"),
        (400, "Input data may contain inappropriate content."),
        (400, 'm requires moderation on OpenAI. Your input was flagged for "violence".'),
        (403, "Content violates usage guidelines. Team: t, API key ID: k, Model: m"),
        (400, "系统检测到输入或生成内容可能包含不安全或敏感内容"),
        (400, "The request was rejected because it was considered high risk"),
        (451, "not here"),
        (400, "The prompt was blocked by our safety filters"),
        (422, "Output blocked by content filtering policy"),
        (400, "the request contains illegal content"),
        (200, "input new_sensitive"),
    ],
)
def test_a_refused_text_is_about_content_in_any_words(status: int, message: str) -> None:
    error = translate(status, message)
    assert isinstance(error, RequestError)
    assert error.about_content


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, '{"error": {"message": "Your request was blocked.", "type": "invalid_request_error"}}'),
        (403, '{"message": "Access denied: your IP was flagged"}'),
        (403, '{"message": "The request was blocked due to an unusual content violation score"}'),
        (403, "<html><head><title>Request blocked</title></head></html>"),
        (403, "<!doctype html><title>Content filter: this category is blocked</title>"),
        (400, "<html><title>Blocked by the content filter of your organization</title></html>"),
        (451, "<html><title>Unavailable in your country</title></html>"),
        (400, '{"error": {"message": "<html><h1>Message blocked by content policy</h1></html>"}}'),
        (400, '{"error": {"message": "request was filtered by rate policy"}}'),
        (406, '{"error": "traffic flagged as automated"}'),
        (400, '{"error": "the moderation endpoint needs another version"}'),
    ],
)
def test_a_firewall_that_blocks_a_machine_minds_no_text(status: int, body: str) -> None:
    error = refusals.translate(status, read_error_details(body), headers={}, key=KEY)
    assert type(error) is InvalidRequestError
    assert not error.about_content


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "Blocked", "code": "content_filter"}}',
        '{"error": {"message": "m requires moderation", "metadata": {"reasons": ["violence"]}}}',
        '{"code": "forbidden", "error": "Content violates usage guidelines. Failed: SAFETY_CHECK_TYPE_X"}',
    ],
)
def test_a_text_can_be_minded_with_the_status_of_a_firewall(body: str) -> None:
    error = refusals.translate(403, read_error_details(body), headers={}, key=KEY)
    assert isinstance(error, RequestError)
    assert error.about_content


@pytest.mark.parametrize(
    "message",
    [
        "Your account has been flagged for violating our usage policies",
        "This organization has been disabled.",
    ],
)
def test_an_account_that_is_shut_says_nothing_of_a_text(message: str) -> None:
    assert isinstance(translate(403, message), CredentialsError)


@pytest.mark.parametrize(
    ("status", "message", "code", "param"),
    [
        (404, "The model `gpt-4` does not exist or you do not have access to it.", None, None),
        (400, "The requested model 'gpt-4' does not exist.", "model_not_found", "model"),
        (400, "model 'gpt-4' not found, try pulling it first", None, None),
        (404, "models/gpt-4 is not found for API version v1main", None, None),
        (400, "gpt-4 is not a valid model ID", None, None),
        (404, "The model `gpt-4` has been deprecated, learn more here", None, None),
        (404, "model: gpt-4", "not_found_error", None),
        (400, "Unknown model: gpt-4", None, None),
        (422, "Not there", None, "model"),
        (404, "The API deployment for this resource does not exist.", "deploymentnotfound", None),
        (400, "The provided model identifier is invalid.", None, None),
        (404, "Not found the model m or Permission denied", None, None),
        (404, "Model 'm' is not supported for this environment.", "model_not_supported", None),
    ],
)
def test_a_model_that_is_not_there_is_told(
    status: int, message: str, code: str | None, param: str | None
) -> None:
    error = translate(status, message, code=code, param=param)
    assert isinstance(error, UnknownModelError)
    assert message in str(error)


@pytest.mark.parametrize(
    "message",
    [
        "Model m does not support parameter top_k.",
        "top_k is deprecated for this model.",
        "Unsupported value: 'top_k' does not support 0 with this model.",
    ],
)
def test_a_model_that_refuses_a_parameter_is_there(message: str) -> None:
    assert type(translate(400, message)) is InvalidRequestError


@pytest.mark.parametrize(
    ("status", "certain"), [(400, False), (403, False), (404, True), (405, True), (422, False)]
)
def test_only_a_wrong_address_is_certain_to_concern_all_texts(status: int, certain: bool) -> None:
    error = translate(status, "No.", param="messages[0].content")
    assert isinstance(error, InvalidRequestError)
    assert error.certain is certain


@pytest.mark.parametrize("quota", ["GenerateRequestsPerDayPerProjectPerModel-FreeTier", "RequestsPerDay"])
def test_a_days_quota_is_not_taken_for_a_minutes(quota: str) -> None:
    details = ErrorDetails("You exceeded your quota.", retry_after=36.0, quotas=(quota,))
    error = refusals.translate(429, details, headers={}, key=KEY)
    assert isinstance(error, RenewedQuotaError)
    assert quota in str(error)
    assert error.retry_after >= 600


def test_a_minutes_quota_is_waited_for_as_long_as_the_body_says() -> None:
    details = ErrorDetails("You exceeded your quota.", retry_after=6.0, quotas=("RequestsPerMinute",))
    error = refusals.translate(429, details, headers={}, key=KEY)
    assert isinstance(error, TransientError)
    assert error.retry_after == 6.0


def test_a_request_that_no_minute_has_room_for_is_too_long() -> None:
    words = "Request too large for m on tokens per min (TPM): Limit 10000, Requested 12000."
    assert isinstance(translate(429, words), TooLongError)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Insufficient credits", QuotaError),
        ("Overloaded", TransientError),
        ("Rate limit exceeded, please try again later", TransientError),
        ("Open api qps request limit reached", TransientError),
        ("Unexpected endpoint or method. (POST /chat/completions)", InvalidRequestError),
        ("No.", InvalidRequestError),
    ],
)
def test_an_error_that_came_as_a_success_is_told_by_its_words(words: str, expected: type[Exception]) -> None:
    assert isinstance(translate(200, words), expected)


def test_what_is_said_without_a_word_is_told_as_that() -> None:
    assert "HTTP 400: without a word" in str(translate(400, ""))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("the request exceeds the available context size", None),
        ("context shift is disabled", None),
        ("too long", "context_length_exceeded"),
    ],
)
def test_a_text_that_is_too_long_is_not_sent_again_where_the_server_calls_it_its_failure(
    message: str, code: str | None
) -> None:
    assert isinstance(translate(500, message, code=code), TooLongError)


def test_a_text_that_a_gateway_refuses_as_its_failure_is_about_content() -> None:
    error = translate(500, "Bad response", code="content_filter")
    assert isinstance(error, RequestError)
    assert error.about_content


def test_throttling_is_waited_for_whatever_its_status() -> None:
    error = translate(400, "Too many tokens, please wait before trying again.", code="throttlingexception")
    assert isinstance(error, TransientError)


@pytest.mark.parametrize(
    "said", ["The security token included in the request is expired", "access token invalid"]
)
def test_a_token_that_is_no_good_any_more_is_a_key(said: str) -> None:
    assert isinstance(translate(403, said), CredentialsError)


def test_a_limit_that_leaves_no_room_is_named_as_a_parameter() -> None:
    error = translate(
        400, "max_tokens is too large: 16384. This model's maximum context length is 8192 tokens"
    )
    assert isinstance(error, TooLongError)
    assert error.param == "max_tokens"


@pytest.mark.parametrize("words", ["model" + "/" * 3990, "model" + ":" * 3990, "models " * 570])
def test_no_words_take_long_to_be_understood(words: str) -> None:
    begun = time.process_time()
    translate(400, words)
    assert time.process_time() - begun < 1
