"""Giving the command line damaged files, and counting what it does.

No module: perf/malformed, which is no part of the package.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from perf.malformed.damage import header_damage, json_damage
from perf.malformed.kinds import KINDS, spoiled
from perf.malformed.running import HANG, REFUSED, TRACEBACK, WORKS, attempt

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has pidfd_open")


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_table_is_imported_or_refused_in_one_line(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "table.json").write_text(json.dumps([{"instruction": "Say a.", "output": "a"}] * 3))
    argv, _ = spoiled(KINDS["table to import"], folder, Random(number))
    assert attempt(argv, folder).kind in {WORKS, REFUSED}


def test_errors_that_nobody_expected_and_commands_without_an_end_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: Sequence[str]) -> int:
        raise ValueError(f"unexpected {argv[0]}")

    monkeypatch.setattr("tvmerge.cli.app.run", fail)
    found = attempt(["status"], tmp_path)
    assert (found.kind, "ValueError: unexpected status" in found.said) == (TRACEBACK, True)
    monkeypatch.setattr("tvmerge.cli.app.run", lambda argv: sum(1 for _ in itertools.count()))
    assert attempt(["status"], tmp_path, seconds=0.3).kind == HANG


def test_the_same_seed_does_the_same_damage(tmp_path: Path) -> None:
    data = {"a": {"b": [1, 2]}, "c": "d"}
    done = [json_damage(json.loads(json.dumps(data)), Random(3)) for _ in range(2)]
    assert repr(done[0]) == repr(done[1])
    assert done[0][0] != data
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    before = path.read_bytes()
    header_damage(path, Random(1))
    assert path.read_bytes() != before
