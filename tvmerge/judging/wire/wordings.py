"""Codes and phrases with which providers give reasons for refusing a request."""

from __future__ import annotations

import re

QUOTA_CODES = frozenset(
    [
        "insufficient_quota",
        "exceeded_current_quota_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "arrearage",
        "allocationquota.freetieronly",
    ]
)
QUOTA_WORDS = re.compile(
    r"calls / month|requestsperday|requests per day|per[ _-]?day\b"
    r"|\bdaily (?:\w+ )?(?:limit|quota|allocation)|\(rpd\)|每日|使用上限",
    re.IGNORECASE,
)
EMPTY_ACCOUNT = re.compile(
    r"credit balance|insufficient (?:credits?|balance|funds)|out of credits|(?:n't|not|no) have any credits"
    r"|used (?:up )?all (?:\w+ )?credits"
    r"|(?:reached|exceeded) (?:\w+ ){1,3}(?:spending|usage) limit|free tier (?:\S+ ){1,6}exhausted"
    r"|unpaid (?:invoice|bill)|余额不足|欠费",
    re.IGNORECASE,
)
KEY_CODES = frozenset({"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"})
KEY_WORDS = re.compile(
    r"(?:invalid|incorrect|wrong|missing|expired|no) (?:x-)?api[ _-]?(?:key|token)"
    r"|api[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|not found)"
    r"|(?:access|security|auth\w*) token (?:\S+ ){0,4}(?:is |has |was )?(?:invalid|expired)",
    re.IGNORECASE,
)
ACCOUNT_WORDS = re.compile(
    r"(?:account|organi[sz]ation|project|workspace|user|api key) (?:\S+ )?(?:has been |was |is )(?:\w+ )?"
    r"(?:flagged|suspended|disabled|deactivated|blocked|banned|restricted|terminated)",
    re.IGNORECASE,
)

LENGTH_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "request_too_large", "exceed_context_size_error"}
)
LENGTH_WORDS = re.compile(
    r"context (?:length|window|size|limit)|too many (?:input )?tokens|prompt (?:is )?too (?:long|large)"
    r"|(?:input|prompt|request|text|message)s? (?:is |are )?too (?:long|large)|input length|input token count"
    r"|exceeded model token limit|`inputs` tokens|reduce the length of|max_model_len"
    r"|prompt contains \d+ tokens|must have less than \d+ tokens|context shift is disabled"
    r"|length of (?:the )?(?:message|prompt|input)s? exceeds|超长|過長|長すぎ",
    re.IGNORECASE,
)
CONTENT_CODES = frozenset(
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
CONTENT_WORDS = re.compile(
    r"repetitive patterns|content[ _-]?(?:management|filter\w*|policy|moderation|exists risk|violat\w+"
    r"|block\w*|safety|restriction\w*)|contentpolicy|new_sensitive"
    r"|(?:inappropriate|prohibited|sensitive|harmful|unsafe|objectionable|illegal)"
    r" (?:content|material|text|input|information)|usage (?:guidelines|polic\w+)"
    r"|(?:requires?|needs?|failed|by|pass(?:ed)?) (?:\w+ )?moderation"
    r"|considered high risk|safety (?:system|check|filter|reason|polic|guideline)|safety_check"
    r"|(?:prompt|input|text|messages?|content|response|output) (?:\w+ ){0,3}(?:was |were |has been |is )?"
    r"(?:blocked|filtered|flagged)\b|敏感|不安全|违规|違規|不適切|有害",
    re.IGNORECASE,
)
CONTENT_WORDS_OF_403 = re.compile(r"^content violates usage guidelines\b|safety_check_type_", re.IGNORECASE)
"""xAI's words, which no firewall uses; others refuse machines, networks and accounts with this status."""
NO_MODEL_CODES = frozenset(
    [
        "model_not_found",
        "model_not_exist",
        "modelnotfound",
        "invalid_model",
        "model_not_supported",
        "deploymentnotfound",
    ]
)
_GONE = r"(?:found|exist|available|decommissioned|deprecated|retired|shut down|a valid model)"
NO_MODEL_WORDS = re.compile(
    r"\bmodels?\b[ :/]{0,3}(?:['\"`]?[\w./:@-]+['\"`]?,? )?"
    r"(?:is |are |was |were |has been |have been |does )?"
    rf"(?:not |no longer |n't |isn't |doesn't )*{_GONE}|(?:unknown|no such|invalid) model\b"
    r"|not a valid model|model identifier is invalid|not found the model|no endpoints found|模型不存在"
    r"|not have access to (?:the )?model",
    re.IGNORECASE,
)
LIMIT_TOO_HIGH = re.compile(
    r"(max_(?:completion_)?tokens)['\"`]?(?: or '\w+')? is too (?:large|high)", re.IGNORECASE
)
"""Matches errors about a limit on the reply that leaves no room for a prompt or exceeds the model's."""
TOO_LARGE_FOR_A_MINUTE = re.compile(r"request too large|must be reduced", re.IGNORECASE)
TEXTS = frozenset({"messages", "system", "prompt", "input", "inputs", "content", "contents", "text"})
"""Names of parameters that hold texts; an error about one of them says nothing about other requests."""
PASSING_CODES = frozenset(
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
        "throttlingexception",
        "toomanyrequestsexception",
        "capacity_exceeded",
    ]
)
THROTTLING = frozenset({"throttlingexception", "toomanyrequestsexception"})
"""Codes for throttling that AWS also sends with other statuses."""
PASSING_WORDS = re.compile(
    r"overloaded|rate limit|limit reached|try again|temporar|timed out|loading model", re.IGNORECASE
)
