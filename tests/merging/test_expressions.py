"""Regular expressions of users and adapters, which may backtrack for ever."""

from __future__ import annotations

import pytest

from tvmerge.errors import ConfigError
from tvmerge.judging.prompts.patterns import fault_of as fault_of_rating
from tvmerge.merging import expressions
from tvmerge.merging.expressions import fault_of, found_in
from tvmerge.merging.group_rules import GroupRules

NAMES = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(3)]
ENDLESS = r"((\w|\.)+)+$_"


def test_expressions_are_found_anywhere_in_a_name() -> None:
    assert found_in([r"layers\.[12]\.", "none"], NAMES, "freeze") == [NAMES[1:], []]
    assert found_in([], NAMES, "freeze") == []


def test_an_expression_that_backtracks_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 0.2)
    with pytest.raises(ConfigError, match=r"^freeze: .*more than 0\.2 s; write it without a rep"):
        found_in([ENDLESS], NAMES, "freeze")


@pytest.mark.parametrize("text", ["(", "(" * 5000 + ")" * 5000, "a{99999999999}", "[z-a]"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    assert fault_of(text)
    with pytest.raises(ConfigError, match="is not a regular expression"):
        GroupRules(freeze=(text,))


def test_a_rating_pattern_that_takes_all_memory_is_refused() -> None:
    assert fault_of_rating("((((a{100}){100}){100}){100}){100}").startswith(
        "cannot be used: it takes more than"
    )
    assert fault_of_rating("a(b)c") == ""
