"""Targets of fuzzing: inputs of each kind pass, an error is one finding, and other inputs do no harm.

No module: perf/fuzz, which is no part of the package. Without atheris, which leads the inputs: here they are
changed at random.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from perf.fuzz import headers, replies
from perf.fuzz.__main__ import main
from perf.fuzz.campaign import Campaign
from perf.fuzz.draws import Draws
from tvmerge.judging.client.chat import Usage

TARGETS = pytest.mark.parametrize("target", [replies, headers], ids=["replies", "headers"])
SCRAPS = (
    b"5",
    b"null",
    b"[",
    b"{",
    b'"',
    b"NaN",
    b"1e999",
    b"-1",
    b"9" * 25,
    b"\\ud800",
    b"\xff",
    b"[]",
    b"{}",
)


def changed(seeds: tuple[bytes, ...], count: int) -> Iterator[bytes]:
    """Yield inputs of which some words are replaced."""
    draw = random.Random(0)
    for _ in range(count):
        kind, *words = re.findall(rb'^.|"[^"]*"|[\w.]+|.', draw.choice(seeds), re.DOTALL)
        for _ in range(draw.randint(1, 3)):
            words[draw.randrange(len(words))] = draw.choice(SCRAPS)
        yield kind + b"".join(words)


@TARGETS
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_inputs_of_each_kind_and_changed_ones_break_nothing(target: ModuleType, tmp_path: Path) -> None:
    campaign = Campaign(target.check, 60, tmp_path)
    for data in (b"", *target.SEEDS, *changed(target.SEEDS, 150)):
        campaign.execute(data)
    assert campaign.summary().startswith(f"{151 + len(target.SEEDS)} inputs in ")
    assert not campaign.findings


def test_what_a_seed_stands_for_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed that is refused at once would lead nowhere."""
    read = []
    monkeypatch.setattr(replies, "_check_reply", lambda reply: read.append(reply.text))
    for seed in replies.SEEDS:
        replies.check(seed)
    assert read == ["[[7]]", "[[7]]", "[[7]]"]


def test_an_error_is_one_finding_with_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tvmerge.judging.providers.openai.usage_of", lambda sent, *_, **__: Usage(-sent, 0))
    campaign = Campaign(replies.check, 60, tmp_path)
    for seed in (*replies.SEEDS, *replies.SEEDS):
        campaign.execute(seed)
    (kind,), (path,) = campaign.findings, tmp_path.iterdir()
    assert re.fullmatch(r"AssertionError in replies\.py:\d+", kind)
    assert path.read_bytes() in replies.SEEDS
    assert capsys.readouterr().out == f"finding: {kind}: {path}\n"
    assert campaign.summary().endswith(f"1 findings\n  {kind}: {path}")


def test_choices_are_made_by_the_first_bytes() -> None:
    draws = Draws(b"\x04\x01rest\xff")
    assert (draws.choice("abc"), draws.choice("abc"), draws.rest_as_text()) == ("b", "b", "rest\udcff")
    assert (Draws(b"").choice("abc"), Draws(b"").rest()) == ("a", b"")


def test_without_atheris_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert main(["replies", "--seconds", "1"]) == 2
    assert "`make fuzz`" in capsys.readouterr().err
