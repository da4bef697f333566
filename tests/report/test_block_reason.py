"""Why a candidate answered so many questions at a time, in the language of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tvmerge.report.block_reason import PARTS, block_reason
from tvmerge.report.language import catalogue, language, languages
from tvmerge.study.blocks.size import BlockSize, Costs, choose_size


def reasons() -> Iterator[str]:
    """All that a search can say."""
    probe = BlockSize(0, 4, False, "")
    times: tuple[dict[int, float], ...] = ({}, {4: 0.5}, {4: 1e-7}, {4: 300.0}, {4: 8.0, 16: 14.0})
    for usd in (None, 0.0, 0.00012, 2.5):
        for seconds in times:
            for most in (4, 256):
                for made in ([], [probe, probe]):
                    chosen = choose_size(Costs(usd, seconds, 1.5), 1.0, most, made, 9)
                    if chosen.final:
                        yield str(chosen)


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d[\d.e+-]*\d|\d", text))


@pytest.mark.parametrize("code", [code for code in languages() if code != "en"])
def test_every_reason_of_a_search_is_translated_whole(code: str) -> None:
    found = dict.fromkeys(reasons())
    assert len({re.sub(r"[\d.e+-]+", "", text) for text in found}) >= 9
    with language(code):
        for text in found:
            said = block_reason(text)
            assert not re.search(r"[A-Za-z]{2}", said), said
            assert numbers(said) == numbers(text)


def test_the_parts_are_in_every_catalogue() -> None:
    assert all(part in catalogue(code) for code in languages() if code != "en" for part in PARTS)


def test_english_and_what_is_not_known_stay_as_they_are() -> None:
    text = "a candidate answers 4 questions at a time: because"
    assert block_reason(text) == text
    with language("ja"):
        assert block_reason("some other reason") == "some other reason"
        assert block_reason(text).endswith("because")
        nested = "a candidate answers 4 questions at a time: " * 1000
        assert block_reason(nested) == nested
