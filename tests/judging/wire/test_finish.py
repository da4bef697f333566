"""Why a reply ended, in the words of those who send replies."""

from __future__ import annotations

import pytest

from tvmerge.judging.wire.finish import finish_of, unknown_word


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (
            ["stop", "STOP", "eos", "eos_token", "end_turn", "COMPLETE", "eosFound", "FINISH_REASON_STOP"],
            "stop",
        ),
        ([None, "", " ", "stop_sequence", "Stop Sequence", "stop: </s>"], "stop"),
        (["length", "MAX_TOKENS", "model_length", "maxPredictedTokensReached", "ERROR_LIMIT"], "length"),
        (
            ["content_filter", "SAFETY", "content_filter: PROHIBITED_CONTENT", "refusal", "ERROR_TOXIC"],
            "refused",
        ),
        (["error", "insufficient_system_resource", "network_error", "ABORT", "canceled"], "failed"),
        (["unknown", "FINISH_REASON_UNSPECIFIED", "tool_calls", "pause_turn", 7], "other"),
    ],
)
def test_a_word_is_known_in_any_spelling(words: list[object], meaning: str) -> None:
    assert {finish_of(word) for word in words} == {meaning}


def test_only_a_word_that_nobody_knows_is_told() -> None:
    assert unknown_word("STOP") == ""
    assert unknown_word(None) == ""
    assert unknown_word(" weary\nof it ") == "weary of it"
    assert len(unknown_word("z" * 1000)) == 40
