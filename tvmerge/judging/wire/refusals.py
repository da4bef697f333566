"""What a status and a provider's words mean to us: one of our own errors.

Most say why they refuse in words only, each in its own. What the words do not tell is left open: whether
others are answered says whether a refusal concerns one text or all of them
(`tvmerge.judging.client.refusal`).
"""

from __future__ import annotations

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
from tvmerge.judging.wire import wordings
from tvmerge.judging.wire.complaint import Complaint
from tvmerge.judging.wire.http import ApiKey, hinted_wait, retry_after, top_level

_TRANSIENT = frozenset({408, 409, 424, 425, 429, 498, 499})
"""Beside those of HTTP: 424 of TGI where a step failed, 498 of Groq for its capacity, 499 of proxies."""
_NO_SUCH_PLACE = frozenset({404, 405, 410})
_FOR_THE_LAW = 451

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
    if (
        status == 401
        or complaint.codes & wordings.KEY_CODES
        or (status < 500 and wordings.KEY_WORDS.search(words))
    ):
        # Some providers quote a part of the key.
        said = _shown(status, key.blotted_out(words), key)
        return CredentialsError(f"the judge's provider refuses the API key ({said}): check {key.variable}")
    if quota := _quota_error(status, complaint, words, headers, text):
        return quota
    if status == 429 and wordings.TOO_LARGE_FOR_A_MINUTE.search(words):
        return TooLongError(text, status=status, param=complaint.param)
    passing = status < 400 and (
        complaint.codes & wordings.PASSING_CODES or wordings.PASSING_WORDS.search(words)
    )
    if status >= 500 and _says_of_the_text(complaint, words):
        return _refusal(status, complaint, words, text, key)
    if status in _TRANSIENT or status >= 500 or passing or complaint.codes & wordings.THROTTLING:
        wait = _wait(complaint, headers, words)
        return TransientError(text, retry_after=wait, status=status)
    return _refusal(status, complaint, words, text, key)


def _quota_error(
    status: int, complaint: Complaint, words: str, headers: Mapping[str, str], text: str
) -> QuotaError | None:
    """The error of an account that has nothing left, or None."""
    daily = status == 429 and wordings.QUOTA_WORDS.search(words) is not None
    empty = status == 402 or complaint.codes & wordings.QUOTA_CODES or wordings.EMPTY_ACCOUNT.search(words)
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
    too_high = wordings.LIMIT_TOO_HIGH.search(words)
    param = complaint.param or (too_high and too_high[1].lower())
    certain = status in _NO_SUCH_PLACE or (param is not None and top_level(param) not in wordings.TEXTS)
    if wordings.ACCOUNT_WORDS.search(words):
        return CredentialsError(f"the judge's provider refuses access ({text}): check {key.variable}")
    if complaint.codes & wordings.LENGTH_CODES or status == 413 or wordings.LENGTH_WORDS.search(words):
        return TooLongError(text, status=status, param=param)
    minded = complaint.about_content or status == _FOR_THE_LAW or complaint.codes & wordings.CONTENT_CODES
    if minded or wordings.CONTENT_WORDS.search(words):
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


def _says_of_the_text(complaint: Complaint, words: str) -> bool:
    """Whether what a server calls its own failure is due to the text, which would fail each time."""
    codes = complaint.codes & (wordings.LENGTH_CODES | wordings.CONTENT_CODES)
    return bool(codes) or complaint.about_content or wordings.LENGTH_WORDS.search(words) is not None


def _names_no_model(status: int, complaint: Complaint, words: str) -> bool:
    if complaint.codes & wordings.NO_MODEL_CODES or complaint.param == "model":
        return True
    # Anthropic says no more than "model: NAME".
    return wordings.NO_MODEL_WORDS.search(words) is not None or (status == 404 and words.startswith("model:"))


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
