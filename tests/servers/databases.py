"""Database servers of the tests' own, in a folder of their own, gone with the process that started them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

FOLDERS = (*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/local/bin"), Path("/usr/sbin"))
"""Where packages put servers, beside the search path."""

DEADLINE = 300.0


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a new database `tests` on a PostgreSQL server."""
    initdb, server = _find("initdb"), _find("postgres")
    port = _free_port()
    settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
    flags = [part for setting in settings for part in ("-c", setting)]
    with _home("postgres", "nobody") as (data, owner):
        _run([initdb, "-D", data, "-U", "tests", "--auth=trust", "--no-sync", "--encoding=UTF8"], owner)
        with _running([server, "-D", data, *flags], data, owner):
            _await(f"postgresql+psycopg://tests@127.0.0.1:{port}/postgres", "CREATE DATABASE tests")
            yield f"postgresql://tests:se%40cret@127.0.0.1:{port}/tests"


@contextmanager
def mysql() -> Iterator[str]:
    """The URL of a new database `tests` on a MariaDB server."""
    install, server = _find("mariadb-install-db"), _find("mariadbd")
    port = _free_port()
    with _home("mysql", "nobody") as (data, owner):
        defaults = ["--no-defaults", f"--datadir={data}"]
        _run([install, *defaults, "--auth-root-authentication-method=normal", "--skip-test-db"], owner)
        flags = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={data / 'socket'}"]
        with _running([server, *defaults, *flags], data, owner):
            _await(f"mysql+pymysql://root@127.0.0.1:{port}/", "CREATE DATABASE tests CHARACTER SET utf8mb4")
            yield f"mysql://root@127.0.0.1:{port}/tests"


def _find(program: str) -> str:
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *map(str, FOLDERS)]))
    if found is None:
        pytest.skip(f"there is no {program} on this machine")
    return found


@contextmanager
def _home(*users: str) -> Iterator[tuple[Path, str | None]]:
    """A folder for a server's data, and who it is to run as.

    Servers refuse to run as root; there, it is the first of `users` that exists. Not one of pytest's folders:
    only the user who runs the tests may enter those.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        owner = None
        if os.getuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            owner = next(user for user in users if user in known)
            shutil.chown(folder, owner)
        Path(folder).chmod(0o700)
        yield Path(folder), owner


def _run(argv: Sequence[str | Path], owner: str | None) -> None:
    done = subprocess.run(argv, cwd="/", user=owner, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def _running(argv: Sequence[str | Path], data: Path, owner: str | None) -> Iterator[None]:
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd="/", user=owner, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


def _await(url: str, statement: str) -> None:
    """Carry out a statement as soon as the server listens."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
