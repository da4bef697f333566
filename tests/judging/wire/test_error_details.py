"""What a provider says of an error, in every shape it says it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.judging.wire.error_details import error_within, read_error_details

GOOGLE = {
    "error": {
        "code": 429,
        "message": "You exceeded your quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36s"},
        ],
    }
}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no such thing", "type": "x"}}, "no such thing"),
        ({"error": "no such thing"}, "no such thing"),
        ({"code": "Invalid argument", "error": "no such thing"}, "no such thing"),
        ({"object": "error", "message": "no such thing", "code": 400}, "no such thing"),
        ({"message": "no such thing"}, "no such thing"),
        ({"detail": "no such thing"}, "no such thing"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no such thing"}]}, "body.n: no such thing"),
        ({"message": {"detail": [{"loc": ["body", "n"], "msg": "no"}]}}, "body.n: no"),
        ([{"error": {"message": "no such thing"}}], "no such thing"),
        ({"errors": [{"message": "no such"}, {"message": "thing"}]}, "no such; thing"),
        ({"success": False, "info": 7}, '{"success": false, "info": 7}'),
        ("no such thing", "no such thing"),
        (None, "null"),
        (17, "17"),
    ],
)
def test_the_words_are_found_in_any_json(body: Any, words: str) -> None:
    assert read_error_details(json.dumps(body)).words == words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("404 page\n not found\n", "404 page not found"),
        ("<html><body><h1>Not &amp; Found</h1><p>nginx</p></body></html>", "Not & Found"),
        ("<!DOCTYPE html><title>Sign in</title><h1>Welcome</h1>", "Sign in"),
        ("<html><style>p {}</style><p>Bad <b>gateway</b></p></html>", "Bad gateway"),
        ('data: {"error": {"message": "Overloaded"}}\n\n', "Overloaded"),
        ("", ""),
    ],
)
def test_the_words_are_found_in_what_is_no_json(body: str, words: str) -> None:
    assert read_error_details(body).words == words


def test_what_the_provider_behind_a_gateway_said_is_told_as_well() -> None:
    raw = json.dumps({"error": {"message": "max_tokens: too large", "param": "max_tokens"}})
    body = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
    details = read_error_details(json.dumps(body))
    assert details.words == "Provider returned error: max_tokens: too large"
    assert details.param == "max_tokens"


@pytest.mark.parametrize("body", [GOOGLE, [GOOGLE]])
def test_google_tells_the_quota_and_how_long_to_wait(body: Any) -> None:
    details = read_error_details(json.dumps(body))
    assert details.retry_after == 36.0
    assert details.quotas == ("GenerateRequestsPerDayPerProjectPerModel-FreeTier",)
    assert "resource_exhausted" in details.codes


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"error": {"message": "no", "param": "temperature"}}, "temperature"),
        ({"error": {"message": "no", "param": "None"}}, None),
        ({"error": {"message": "no", "param": None}}, None),
        ({"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "no"}]}, "messages.0.role"),
    ],
)
def test_the_parameter_is_found(body: Any, param: str | None) -> None:
    assert read_error_details(json.dumps(body)).param == param


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no"}, "contentFilter": [{"level": 1}]},
        {"error": {"message": "no", "metadata": {"reasons": ["violence"]}}},
        {"error": {"message": "no", "innererror": {"content_filter_result": {"hate": {"filtered": True}}}}},
    ],
)
def test_a_note_of_what_was_minded_makes_it_about_content(body: Any) -> None:
    assert read_error_details(json.dumps(body)).about_content


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 402, "message": "no"}}, 402),
        ({"error": {"code": "429", "message": "no"}}, 429),
        ({"error": "no"}, None),
        ({"detail": "no"}, None),
        ([{"error": {"code": 503}}], 503),
        ({"type": "error", "error": {"type": "overloaded_error"}}, None),
    ],
)
def test_an_error_within_a_success_is_seen_with_its_status(body: Any, status: int | None) -> None:
    details = error_within(body)
    assert details is not None
    assert details.status == status


@pytest.mark.parametrize("body", [{"choices": [], "error": None}, {"error": {}}, {}, [], None, "error", 7])
def test_a_success_is_no_complaint(body: Any) -> None:
    assert error_within(body) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "loc", "msg", "code", "param", "raw", "metadata"])
            | st.sampled_from(["retryDelay", "quotaId", "reasons", "headers", "status", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_no_body_is_too_odd_to_be_read(body: Any) -> None:
    assert isinstance(read_error_details(json.dumps(body)).words, str)
    error_within(body)


@given(st.text(max_size=60))
def test_no_text_is_too_odd_to_be_read(body: str) -> None:
    assert isinstance(read_error_details(body).words, str)


def test_half_a_surrogate_pair_in_a_message_can_be_stored() -> None:
    body = json.dumps({"error": {"message": "no \ud83d thing", "metadata": {"raw": '"of \\ud83d"'}}})
    assert read_error_details(body).words.startswith("no � thing")
    read_error_details(body).words.encode("utf-8")


@pytest.mark.parametrize("item", ["{}", '{"code": 5}', "[]", '{"error": {}}'])
def test_a_huge_error_is_read_at_once(item: str) -> None:
    body = f'{{"error": [{",".join([item] * 500_000)}]}}'
    data = json.loads(body)
    begun = time.process_time()
    read_error_details(body)
    error_within(data)
    assert time.process_time() - begun < 0.5


def test_a_huge_page_still_has_its_title() -> None:
    page = "<html><title>Bad gateway</title>" + "<p>" * 1_000_000
    assert read_error_details(page).words == "Bad gateway"
