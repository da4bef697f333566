"""A model hub on the loopback interface: the endpoints that downloading a snapshot uses, and no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves folders as models and remembers which files were asked for."""

    def __init__(self, models: dict[str, Path], revisions: tuple[str, ...], gated: tuple[str, ...]) -> None:
        self.models = models
        self.revisions = revisions
        self.gated = gated
        self.downloads: list[str] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request's path."""
        if path.startswith("/api/models/"):
            return self._api(path.removeprefix("/api/models/"))
        owner, name, _, _, *rest = path.removeprefix("/").split("/")
        file = self.models[f"{owner}/{name}"] / "/".join(rest)
        content = file.read_bytes()
        return 200, {"ETag": f'"{_blob(content)}"', "X-Repo-Commit": COMMIT}, content

    def _api(self, path: str) -> tuple[int, dict[str, str], bytes]:
        owner, name, kind, revision = path.split("/")[:4]
        model = f"{owner}/{name}"
        if model in self.gated:
            return 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "restricted"}, b"{}"
        if model not in self.models:
            return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"
        if revision not in {*self.revisions, COMMIT}:
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}, b"{}"
        if kind == "revision":
            body: object = {"id": model, "sha": COMMIT, "siblings": []}
        else:
            files = [file for file in sorted(self.models[model].rglob("*")) if file.is_file()]
            body = [
                {
                    "type": "file",
                    "path": file.relative_to(self.models[model]).as_posix(),
                    "size": file.stat().st_size,
                    "oid": _blob(file.read_bytes()),
                }
                for file in files
            ]
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def hub(
    models: dict[str, Path], *, revisions: tuple[str, ...] = ("main",), gated: tuple[str, ...] = ()
) -> Iterator[Hub]:
    """Run a hub while the block lasts."""
    served = Hub(models, revisions, gated)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._reply(body=False)

        def do_GET(self) -> None:
            if "/resolve/" in self.path:
                served.downloads.append(urlparse(self.path).path.rpartition("/")[2])
            self._reply(body=True)

        def _reply(self, *, body: bool) -> None:
            status, headers, content = served.answer(urlparse(self.path).path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keeps the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
