"""Half a surrogate pair becomes a character that can be stored; everything else stays as it is."""

from __future__ import annotations

import pytest

from tvmerge._util.well_formed import is_well_formed, well_formed, well_formed_data, well_formed_record
from tvmerge.records import Answer


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("評価 😀 \0\n", "評価 😀 \0\n"),
        ("a\ud83d", "a�"),
        ("\ude00a", "�a"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "��"),
        ("\ud83d\ud83d\ude00", "�😀"),
    ],
)
def test_halves_are_replaced_and_pairs_joined(text: str, sound: str) -> None:
    assert well_formed(text) == sound
    assert is_well_formed(sound)
    assert is_well_formed(text) == (text == sound)
    assert well_formed_data({text: [text, 1, None, {"a": text}]}) == {sound: [sound, 1, None, {"a": sound}]}


def test_a_record_without_halves_is_the_same_and_one_with_them_is_changed_in_its_texts() -> None:
    answer = Answer("q", ("good", "評価"), ("stop", "stop"), tokens=3)
    assert well_formed_record(answer) is answer
    cut = Answer(7, ("a\ud83d", "b"), ("stop", "stop"), thoughts=("\udc00",), tokens=3)
    assert well_formed_record(cut) == Answer(7, ("a�", "b"), ("stop", "stop"), thoughts=("�",))
