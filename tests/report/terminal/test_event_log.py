"""The log of events: appended, never into a file of others, checked before anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tvmerge.errors import ConfigError
from tvmerge.report.terminal.event_log import EventLog

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_an_event_is_a_line_with_time_and_kind(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log.jsonl"
    log = EventLog(path, lambda: NOW)
    assert not path.parent.exists()
    assert log.write("note", text="日本\u2028語") == ""
    assert rows(path) == [
        {"time": "2026-01-02T03:04:05.678+00:00", "kind": "note", "text": "日本\u2028語"},
    ]


def test_a_second_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    EventLog(path).write("one")
    EventLog(path).write("two")
    assert [row["kind"] for row in rows(path)] == ["one", "two"]


def test_half_a_line_of_a_run_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "log"
    EventLog(path).write("one")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"time": "2026')
    EventLog(path).write("two")
    assert [row["kind"] for row in rows(path)] == ["one", "two"]


@pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"a": 1}\n', "\xff\n", '{"time": 1, "kind": '])
def test_a_file_of_others_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "log"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match="is not a log of tvmerge"):
        EventLog(path)
    assert path.read_text(encoding="latin-1") == content


def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    EventLog(path).write("one")
    assert len(rows(path)) == 1


def test_a_folder_or_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "log"):
        with pytest.raises(ConfigError, match="--log-file"):
            EventLog(path)


def test_a_log_that_breaks_says_so_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    log = EventLog(path)
    (tmp_path / "folder").touch()
    assert "the run goes on without it" in log.write("one")
    assert log.write("two") == ""


def test_a_name_that_is_no_text_is_written_as_escapes(tmp_path: Path) -> None:
    EventLog(tmp_path / "log").write("note", text="caf\udce9")
    assert rows(tmp_path / "log")[0]["text"] == "caf\udce9"
