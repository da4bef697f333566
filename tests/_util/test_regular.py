"""Pipes, sockets and devices are refused at once where a file is to be read."""

from __future__ import annotations

import errno
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from tvmerge._util.encodings import read_text
from tvmerge._util.files import read_growing_jsonl
from tvmerge._util.locking import is_locked
from tvmerge._util.regular import irregular, open_regular, read_bytes, read_utf8
from tvmerge.errors import AssetError, CheckpointError, StudyError
from tvmerge.merging.checkpoints.layout import read_json
from tvmerge.pretrained.tokenizer import load_tokenizer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def test_a_file_is_read_whole_and_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\nb")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_bytes(tmp_path / "link") == b"a\r\nb"
    assert read_utf8(tmp_path / "link") == "a\nb"
    assert read_bytes(tmp_path / "file", most=4) == b"a\r\nb"
    with pytest.raises(OSError, match="more than 3 bytes"):
        read_bytes(tmp_path / "file", most=3)


def test_a_file_whose_size_the_system_does_not_tell_is_read_up_to_its_bound() -> None:
    source = Path("/proc/self/maps")
    if not source.exists():
        pytest.skip("this system has no such files")
    assert source.stat().st_size == 0
    assert b"\n" in read_bytes(source)
    with pytest.raises(OSError, match="more than 100 bytes"):
        read_bytes(source, most=100)


def test_a_short_file_takes_little_memory_and_one_that_is_too_large_none(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", 1 << 40)
    tracemalloc.start()
    try:
        read_bytes(tmp_path / "short")
        with pytest.raises(OSError, match=r"more than 4,294,967,296 bytes"):
            read_bytes(tmp_path / "large")
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_a_pipe_a_socket_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device")):
            with pytest.raises(OSError, match=f"it is {kind} and not a file"):
                open_regular(path)
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            open_regular(tmp_path / "socket")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    assert irregular(tmp_path) == tmp_path / "pipe"


def test_everything_that_reads_files_refuses_what_never_ends(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}", encoding="utf-8")
    for name, target in (("zero", Path("/dev/zero")), ("pipe", tmp_path / "fifo")):
        if name == "pipe":
            os.mkfifo(target)
        (tmp_path / name).symlink_to(target)
        with pytest.raises(AssetError, match="and not a file"):
            read_text(tmp_path / name)
        with pytest.raises(OSError, match="and not a file"):
            list(read_growing_jsonl(tmp_path / name))
        with pytest.raises(CheckpointError, match="and not a file"):
            read_json(tmp_path / name)
        with pytest.raises(StudyError, match="and not a file"):
            is_locked(tmp_path, name)
        with pytest.raises(CheckpointError, match="and not a file"):
            load_tokenizer(tmp_path, "model")
