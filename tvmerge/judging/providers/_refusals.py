"""What a status and a provider's words mean to us: one of our own errors.

Most say why they refuse in words only, each in its own. What the words do not tell is left open: whether
others are answered tells whether a refusal concerns one text or all of them
(`tvmerge.judging.client.standing`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tvmerge.errors import (
    CredentialsError,
    ProviderError,
    QuotaError,
    RequestError,
    TransientError,
    UserError,
)
from tvmerge.judging.client.chat import FormError, TooLongError, UnknownModelError
from tvmerge.judging.client.quota import RenewedQuotaError
from tvmerge.judging.providers._complaint import Complaint
from tvmerge.judging.providers._http import ApiKey, hinted_wait, retry_after, top_level

_TRANSIENT = frozenset({408, 409, 425, 429})
_NO_SUCH_PLACE = frozenset({404, 405, 410})
_FOR_THE_LAW = 451

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_QUOTA_WORDS = re.compile(
    r"calls / month|requestsperday|requests per day|per[ _-]?day\b|\bdaily (?:limit|quota)|\(rpd\)",
    re.IGNORECASE,
)
_EMPTY_ACCOUNT = re.compile(
    r"credit balance|insufficient (?:credits?|balance|funds)|out of credits|余额不足|欠费", re.IGNORECASE
)
_KEY_CODES = frozenset({"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"})
_KEY_WORDS = re.compile(
    r"(?:invalid|incorrect|wrong|missing|expired|no) (?:x-)?api[ _-]?(?:key|token)"
    r"|api[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|not found)",
    re.IGNORECASE,
)
_ACCOUNT_WORDS = re.compile(
    r"(?:account|organi[sz]ation|project|workspace|user|api key) (?:\S+ )?(?:has been |was |is )(?:\w+ )?"
    r"(?:flagged|suspended|disabled|deactivated|blocked|banned|restricted|terminated)",
    re.IGNORECASE,
)

_LENGTH_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "request_too_large", "exceed_context_size_error"}
)
_LENGTH_WORDS = re.compile(
    r"context (?:length|window|size|limit)|too many (?:input )?tokens|prompt (?:is )?too (?:long|large)"
    r"|(?:input|prompt|request|text|message)s? (?:is |are )?too (?:long|large)|input length|input token count"
    r"|exceeded model token limit|`inputs` tokens|reduce the length of|max_model_len"
    r"|prompt contains \d+ tokens|超长|過長|長すぎ",
    re.IGNORECASE,
)
_CONTENT_CODES = frozenset(
    [
        "content_filter",
        "invalid_prompt",
        "content_policy_violation",
        "data_inspection_failed",
        "datainspectionfailed",
        "responsibleaipolicyviolation",
        "content_moderation",
        "moderation_blocked",
        "prohibited_content",
        "sensitive_words_detected",
        "content_blocked",
        "safety",
        "1301",
    ]
)
_CONTENT_WORDS = re.compile(
    r"repetitive patterns|content[ _-]?(?:management|filter\w*|policy|moderation|exists risk|violat\w+"
    r"|block\w*|safety|restriction\w*)|contentpolicy|(?:inappropriate|prohibited|sensitive|harmful|unsafe|objectionable)"
    r" (?:content|material|text|input|information)|moderation|flagged|usage (?:guidelines|polic\w+)"
    r"|considered high risk|safety (?:system|check|filter|reason|polic|guideline)|safety_check"
    r"|(?:prompt|input|text|message|response|output|request) (?:\w+ ){0,3}(?:was |were |has been |is )?"
    r"(?:blocked|filtered)\b|敏感|不安全|违规|違規|不適切|有害",
    re.IGNORECASE,
)
_NO_MODEL_CODES = frozenset({"model_not_found", "model_not_exist", "modelnotfound", "invalid_model"})
_GONE = r"(?:found|exist|available|decommissioned|deprecated|retired|shut down|a valid model)"
_NO_MODEL_WORDS = re.compile(
    rf"\bmodels?\b[ :/]*(?:['\"`]?[\w./:@-]+['\"`]?,? )?(?:is |are |was |were |has been |have been |does )?"
    rf"(?:not |no longer |n't |isn't |doesn't )*{_GONE}|(?:unknown|no such|invalid) model\b"
    r"|not a valid model|no endpoints found|模型不存在",
    re.IGNORECASE,
)
_TOO_LARGE_FOR_A_MINUTE = re.compile(r"request too large|must be reduced", re.IGNORECASE)
_TEXTS = frozenset({"messages", "system", "prompt", "input", "inputs", "content", "contents", "text"})
"""Names of parameters that hold texts: to name one says nothing of the other requests."""
_PASSING_CODES = frozenset(
    [
        "overloaded_error",
        "overloaded",
        "rate_limit_error",
        "rate_limit_exceeded",
        "resource_exhausted",
        "api_error",
        "server_error",
        "internal_error",
        "internal_server_error",
        "unavailable",
        "service_unavailable",
        "timeout_error",
        "too_many_requests",
    ]
)
_PASSING_WORDS = re.compile(
    r"overloaded|rate limit|try again|temporar|timed out|loading model", re.IGNORECASE
)
_WORDS_SHOWN = 300
_DAILY = 900.0
"""Seconds to wait at least for a day's quota: the `retryDelay` that Google sends along is a minute's."""


def translate(
    status: int, complaint: Complaint, *, headers: Mapping[str, str], key: ApiKey
) -> ProviderError | UserError:
    """Our own error for what a provider complains of.

    Args:
        status: The HTTP status; 200 where an error came as a success and names no status of its own. Its
            words tell then whether it passes.
        complaint: What the provider says; it is shortened, and the key blotted out, since some echo it.
        headers: Response headers, by lower-case name.
        key: The API key that was sent.
    """
    words = complaint.words + "".join(
        f" ({name})" for name in complaint.quotas if name not in complaint.words
    )
    text = _shown(status, words, key)
    if status == 401 or complaint.codes & _KEY_CODES or (status < 500 and _KEY_WORDS.search(words)):
        # Some providers quote a part of the key.
        said = _shown(status, key.blotted_out(words), key)
        return CredentialsError(f"the judge's provider refuses the API key ({said}): check {key.variable}")
    if quota := _quota_error(status, complaint, words, headers, text):
        return quota
    if status == 429 and _TOO_LARGE_FOR_A_MINUTE.search(words):
        return TooLongError(text, status=status, param=complaint.param)
    passing = status < 400 and (complaint.codes & _PASSING_CODES or _PASSING_WORDS.search(words))
    if status in _TRANSIENT or status >= 500 or passing:
        wait = _wait(complaint, headers, words)
        return TransientError(text, retry_after=wait, status=status)
    return _refusal(status, complaint, words, text, key)


def _quota_error(
    status: int, complaint: Complaint, words: str, headers: Mapping[str, str], text: str
) -> QuotaError | None:
    """The error of an account that has nothing left, or None."""
    daily = status == 429 and _QUOTA_WORDS.search(words) is not None
    empty = status == 402 or complaint.codes & _QUOTA_CODES or _EMPTY_ACCOUNT.search(words)
    if not (daily or empty):
        return None
    used_up = f"the judge account's quota is used up ({text}); run again when it is renewed"
    renewal = _wait(complaint, headers, words) if daily else None
    if renewal is None:
        return QuotaError(used_up)
    return RenewedQuotaError(used_up, retry_after=max(renewal, _DAILY) if complaint.quotas else renewal)


def _refusal(
    status: int, complaint: Complaint, words: str, text: str, key: ApiKey
) -> ProviderError | UserError:
    """The error of a request that was refused for what it is."""
    param = complaint.param
    certain = status in _NO_SUCH_PLACE or (param is not None and top_level(param) not in _TEXTS)
    if _ACCOUNT_WORDS.search(words):
        return CredentialsError(f"the judge's provider refuses access ({text}): check {key.variable}")
    if complaint.codes & _LENGTH_CODES or status == 413 or _LENGTH_WORDS.search(words):
        return TooLongError(text, status=status, param=param)
    minded = complaint.about_content or status == _FOR_THE_LAW or complaint.codes & _CONTENT_CODES
    if minded or _CONTENT_WORDS.search(words):
        return RequestError(text, status=status, param=param, about_content=True)
    if _names_no_model(status, complaint, words):
        return UnknownModelError(f"the judge's provider has no such model ({text})", said=text, status=status)
    if status in _NO_SUCH_PLACE or status < 400:
        advice = "check base_url and the judge's model"
    elif status == 403:
        advice = f"check {key.variable} and what it may be used for"
    else:
        advice = "check the judge's model and parameters; `omit_parameters` in its file leaves one out"
    return FormError(
        f"the judge's provider refuses the request ({text}): {advice}",
        said=text,
        status=status,
        param=param,
        certain=certain,
    )


def _names_no_model(status: int, complaint: Complaint, words: str) -> bool:
    if complaint.codes & _NO_MODEL_CODES or complaint.param == "model":
        return True
    # Anthropic says no more than "model: NAME".
    return _NO_MODEL_WORDS.search(words) is not None or (status == 404 and words.startswith("model:"))


def _shown(status: int, words: str, key: ApiKey) -> str:
    said = " ".join(key.blotted(words).split())
    return f"HTTP {status}: {said[:_WORDS_SHOWN] or 'without a word'}"


def _wait(complaint: Complaint, headers: Mapping[str, str], words: str) -> float | None:
    """Seconds to wait that are asked for: in headers, the body, headers within the body, or words."""
    said = (
        retry_after(headers),
        complaint.retry_after,
        retry_after(complaint.headers),
        hinted_wait(words.lower()),
    )
    return next((seconds for seconds in said if seconds is not None), None)
