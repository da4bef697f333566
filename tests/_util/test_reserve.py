"""Room that is kept on a disk is taken once and given back."""

from __future__ import annotations

from pathlib import Path

from tvmerge._util.reserve import DiskReserve


def test_room_is_taken_once_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    reserve = DiskReserve(path, size=1000)
    reserve.hold()
    kept = path.read_bytes()
    assert len(kept) == 1000
    DiskReserve(path, size=1000).hold()
    assert path.read_bytes() == kept
    reserve.release()
    reserve.release()
    assert not path.exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "reserve").symlink_to(tmp_path / "elsewhere")
    DiskReserve(tmp_path / "reserve", size=1000).hold()
    assert not (tmp_path / "elsewhere").exists()


def test_where_there_is_no_room_none_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    DiskReserve(tmp_path / "file" / "reserve").hold()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
