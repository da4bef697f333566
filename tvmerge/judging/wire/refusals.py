"""Translates a status and a provider's error message into one of tvmerge's errors.

Most providers give the reason only in the message, each in its own words. If it does not say whether one text
or all of them are refused, that is decided by whether others are answered
(`tvmerge.judging.client.refusal`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tvmerge._util.printable import printable
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
from tvmerge.judging.wire import wordings
from tvmerge.judging.wire.error_details import ErrorDetails
from tvmerge.judging.wire.http import ApiKey, hinted_wait, retry_after, top_level

_TRANSIENT = frozenset({408, 409, 424, 425, 429, 498, 499})
"""Besides HTTP's own: 424 from TGI for a failed step, 498 from Groq for no capacity, 499 from proxies."""
_NO_SUCH_PLACE = frozenset({404, 405, 410})
_FORBIDDEN = 403
_FOR_THE_LAW = 451

_WORDS_SHOWN = 300
_DAILY = 900.0
"""Minimum seconds to wait for a daily quota, since Google's `retryDelay` is that of the per-minute limit."""


def translate(
    status: int, details: ErrorDetails, *, headers: Mapping[str, str], key: ApiKey
) -> ProviderError | UserError:
    """Translate a provider's error.

    Args:
        status: The HTTP status; 200 if the error came as a success without a status of its own, so that only
            its message says whether it is temporary.
        details: The provider's error. Its message is shortened and the key removed, since some repeat it.
        headers: Response headers, by lower-case name.
        key: The API key that was sent.
    """
    words = details.words + "".join(f" ({name})" for name in details.quotas if name not in details.words)
    text = _shown(status, words, key)
    if (
        status == 401
        or details.codes & wordings.KEY_CODES
        or (status < 500 and wordings.KEY_WORDS.search(words))
    ):
        # Some providers quote part of the key.
        said = _shown(status, key.blotted_out(words), key)
        return CredentialsError(f"the judge's provider refuses the API key ({said}): check {key.variable}")
    if quota := _quota_error(status, details, words, headers, text):
        return quota
    if status == 429 and wordings.TOO_LARGE_FOR_A_MINUTE.search(words):
        return TooLongError(text, status=status, param=details.param)
    passing = status < 400 and (
        details.codes & wordings.PASSING_CODES or wordings.PASSING_WORDS.search(words)
    )
    if status >= 500 and _says_of_the_text(details, words):
        return _refusal(status, details, words, text, key)
    if status in _TRANSIENT or status >= 500 or passing or details.codes & wordings.THROTTLING:
        wait = _wait(details, headers, words)
        return TransientError(text, retry_after=wait, status=status)
    return _refusal(status, details, words, text, key)


def _quota_error(
    status: int, details: ErrorDetails, words: str, headers: Mapping[str, str], text: str
) -> QuotaError | None:
    """Return the error for an account whose quota is used up, or None."""
    daily = status == 429 and wordings.QUOTA_WORDS.search(words) is not None
    empty = status == 402 or details.codes & wordings.QUOTA_CODES or wordings.EMPTY_ACCOUNT.search(words)
    if not (daily or empty):
        return None
    used_up = f"the judge account's quota is used up ({text}); run again when it is renewed"
    renewal = _wait(details, headers, words) if daily else None
    if renewal is None:
        return QuotaError(used_up)
    return RenewedQuotaError(used_up, retry_after=max(renewal, _DAILY) if details.quotas else renewal)


def _refusal(
    status: int, details: ErrorDetails, words: str, text: str, key: ApiKey
) -> ProviderError | UserError:
    """Return the error for a request that was refused because of its contents."""
    too_high = wordings.LIMIT_TOO_HIGH.search(words)
    param = details.param or (too_high and too_high[1].lower())
    certain = status in _NO_SUCH_PLACE or (param is not None and top_level(param) not in wordings.TEXTS)
    if wordings.ACCOUNT_WORDS.search(words):
        return CredentialsError(f"the judge's provider refuses access ({text}): check {key.variable}")
    if details.codes & wordings.LENGTH_CODES or status == 413 or wordings.LENGTH_WORDS.search(words):
        return TooLongError(text, status=status, param=param)
    if _minds_the_text(status, details, words):
        return RequestError(text, status=status, param=param, about_content=True)
    if _names_no_model(status, details, words):
        return UnknownModelError(f"the judge's provider has no such model ({text})", said=text, status=status)
    if status in _NO_SUCH_PLACE or status < 400:
        advice = "check base_url and the judge's model"
    elif status == _FORBIDDEN:
        advice = f"check {key.variable}, what it may be used for, and whether a firewall is in the way"
    else:
        advice = "check the judge's model and parameters; `omit_parameters` in its file leaves one out"
    return InvalidRequestError(
        f"the judge's provider refuses the request ({text}): {advice}",
        said=text,
        status=status,
        param=param,
        certain=certain,
        blocked=status == _FORBIDDEN or details.page,
    )


def _minds_the_text(status: int, details: ErrorDetails, words: str) -> bool:
    """Return whether a text was refused for its content, not a machine by a firewall in similar words."""
    if details.about_content or details.codes & wordings.CONTENT_CODES:
        return True
    if details.page:
        return False
    of_status = wordings.CONTENT_WORDS_OF_403 if status == _FORBIDDEN else wordings.CONTENT_WORDS
    return status == _FOR_THE_LAW or of_status.search(words) is not None


def _says_of_the_text(details: ErrorDetails, words: str) -> bool:
    """Return whether an error reported as the server's own is caused by the text and would recur."""
    codes = details.codes & (wordings.LENGTH_CODES | wordings.CONTENT_CODES)
    return bool(codes) or details.about_content or wordings.LENGTH_WORDS.search(words) is not None


def _names_no_model(status: int, details: ErrorDetails, words: str) -> bool:
    if details.codes & wordings.NO_MODEL_CODES or details.param == "model":
        return True
    # Anthropic only says "model: NAME".
    return wordings.NO_MODEL_WORDS.search(words) is not None or (status == 404 and words.startswith("model:"))


def _shown(status: int, words: str, key: ApiKey) -> str:
    said = " ".join(printable(key.blotted(words)).split())
    return f"HTTP {status}: {said[:_WORDS_SHOWN] or 'without a word'}"


def _wait(details: ErrorDetails, headers: Mapping[str, str], words: str) -> float | None:
    """Return the seconds to wait given in headers, the body, headers within the body, or the message."""
    said = (
        retry_after(headers),
        details.retry_after,
        retry_after(details.headers),
        hinted_wait(words.lower()),
    )
    return next((seconds for seconds in said if seconds is not None), None)
