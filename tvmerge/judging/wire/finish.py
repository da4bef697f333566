"""Maps the finish reasons of all providers, servers and engines to tvmerge's own.

OpenAI's protocol defines only a few, but servers that use it pass on their engine's: `eos_token`,
`MAX_TOKENS`, `stopStringFound`, `content_filter: PROHIBITED_CONTENT`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tvmerge._util.printable import printable
from tvmerge.judging.client.chat import FinishReason

_WORDS: Mapping[FinishReason, str] = {
    "stop": """
        stop stopped eos eos_token eos_found end end_turn end_of_turn end_of_text end_token
        end_of_sequence stop_sequence stop_token stop_word stop_words stop_string stop_string_found
        stop_str word complete completed completion done finish finished success succeeded normal
        natural ok
        """,
    "length": """
        length max_length length_limit length_capped limit limit_reached truncated truncation
        incomplete too_long max_tokens max_token max_output max_output_tokens max_new_tokens
        max_completion_tokens max_tokens_reached max_generated_tokens max_predicted_tokens_reached
        token_limit token_limit_reached error_limit model_length max_model_length context_length
        context_length_exceeded context_length_reached context_window context_window_exceeded
        model_context_window_exceeded max_context_length
        """,
    "refused": """
        content_filter content_filtered content_filter_error filter filtered safety image_safety
        recitation prohibited_content blocked block blocklist spii language sensitive risk refusal
        refused refuse moderation moderated moderation_blocked policy policy_violation
        content_policy content_policy_violation guardrail guardrail_intervened guardrails
        model_armor error_toxic toxic unsafe harmful
        """,
    "failed": """
        error errored failed failure fault server_error internal_error internal_server_error
        model_error insufficient_system_resource insufficient_resource resource_exhausted overloaded
        unavailable service_unavailable network_error connection_error connection_closed
        disconnected timeout timed_out time_limit deadline_exceeded abort aborted cancel cancelled
        canceled user_cancel user_stopped interrupted preempted evicted model_unloaded exception
        malformed_response
        """,
}
_NAMED: Final[Mapping[str, FinishReason]] = {
    word.replace("_", ""): reason for reason, words in _WORDS.items() for word in words.split()
}
_DETAIL = re.compile(r"[:;(].*", re.DOTALL)


def finish_of(word: object) -> FinishReason:
    """Return the meaning of a provider's `word`: `other` if it is unknown, `stop` if it is empty."""
    if word is None or not str(word).strip():
        return "stop"
    name = re.sub(r"[^a-z0-9]", "", _DETAIL.sub("", str(word).lower()))
    return _NAMED.get(name.removeprefix("finishreason"), "other")


def unknown_word(word: object) -> str:
    """Return `word` if its meaning is unknown, else an empty string."""
    return " ".join(printable(str(word)).split())[:40] if finish_of(word) == "other" else ""
