"""Uploading a model, to a hub on the loopback interface that takes commits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.export.hub import check_repository, check_upload, push_to_hub


class _Hub:
    """Remembers repositories and the files committed to them."""

    def __init__(self) -> None:
        self.url = ""
        self.made: list[dict[str, Any]] = []
        self.commits: list[dict[str, bytes]] = []
        self.deleted: list[str] = []
        self.holds: list[str] | None = []
        self.marker: object = {}
        self.refuses = False
        self.user: dict[str, Any] = {"name": "owner", "auth": {"accessToken": {"role": "write"}}}
        self.knows_token = True

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            return 200, {"url": f"{self.url}/owner/merged", "id": "owner/merged"}
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            return 200, {
                "files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            }
        if "/commit/" in path and self.refuses:
            return 403, {"error": "You have no right to write here"}
        if "/commit/" in path:
            lines = [json.loads(line) for line in body.splitlines()]
            values = [line["value"] for line in lines if line["key"] == "file"]
            self.deleted += [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
            self.commits.append({value["path"]: base64.b64decode(value["content"]) for value in values})
            return 200, {"commitUrl": f"{self.url}/owner/merged/commit/1", "commitOid": "1", "success": True}
        return 200, {}


@contextmanager
def _hub() -> Iterator[_Hub]:
    hub = _Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/api/whoami-v2":
                self._reply(*((200, hub.user) if hub.knows_token else (401, {"error": "Invalid token"})))
            elif "/resolve/" in self.path:
                self._reply(200, hub.marker, ("ETag", '"1"'), ("X-Repo-Commit", "0" * 40))
            elif "/tree/" not in self.path:
                self._reply(200, {"id": "owner/merged", "sha": "0", "siblings": []})
            elif hub.holds is None:
                self._reply(404, {"error": "Repository not found"}, ("X-Error-Code", "RepoNotFound"))
            else:
                self._reply(200, [{"type": "file", "path": p, "size": 1, "oid": "0"} for p in hub.holds])

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._reply(*hub.answer(self.path, body))

        def _reply(self, status: int, data: Any, *headers: tuple[str, str]) -> None:
            content = json.dumps(data).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keeps the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(200)))
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# A model\n")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Hub]:
    with _hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        yield served


def test_all_files_arrive_in_one_commit(hub: _Hub, folder: Path) -> None:
    address = push_to_hub(folder, "owner/merged", private=True)
    assert address.endswith("/owner/merged")
    assert [(repo["name"], repo["visibility"]) for repo in hub.made] == [("merged", "private")]
    assert hub.commits == [{path.name: path.read_bytes() for path in folder.iterdir()}]


def test_the_owner_decides_whether_a_new_repository_is_private(hub: _Hub, folder: Path) -> None:
    push_to_hub(folder, "owner/merged")
    (made,) = hub.made
    assert not made.keys() & {"private", "visibility"}


def test_what_an_earlier_upload_wrote_is_deleted_and_nothing_else(hub: _Hub, folder: Path) -> None:
    old = ["model-00001-of-00002.safetensors", "additional_chat_templates/a.jinja", "odd[1].json"]
    again = ["README.md", "config.json", "model.safetensors"]
    hub.holds = [".gitattributes", "tvmerge.json", *old, *again, "notes.txt", "gguf/model.bin", "odd1.json"]
    hub.marker = {"files": [*(name.partition("/")[0] for name in old), *again, 7]}
    push_to_hub(folder, "owner/merged")
    assert sorted(hub.deleted) == sorted(old)


@pytest.mark.parametrize("marker", [[], {"files": "*"}, {"files": ["*"]}, {}])
def test_a_marker_that_lists_nothing_has_nothing_deleted(hub: _Hub, folder: Path, marker: object) -> None:
    hub.holds, hub.marker = ["tvmerge.json", "old.safetensors"], marker
    push_to_hub(folder, "owner/merged")
    assert hub.deleted == []
    assert len(hub.commits) == 1


@pytest.mark.parametrize("holds", [["model.safetensors"], ["README.md", "data/a.csv", "b.csv"]])
def test_a_repository_with_files_of_others_is_left_as_it_is(
    hub: _Hub, folder: Path, holds: list[str]
) -> None:
    hub.holds = holds
    with pytest.raises(
        ConfigError, match=r"files that tvmerge did not write \((b\.csv and 1 more|model\.saf)"
    ):
        check_upload("owner/merged")
    with pytest.raises(CheckpointError, match="is written, but was not uploaded to owner/merged: the repos"):
        push_to_hub(folder, "owner/merged")
    assert hub.commits == []


@pytest.mark.parametrize("holds", [None, [], [".gitattributes", "README.md"], ["tvmerge.json", "a.bin"]])
def test_a_repository_that_is_new_or_of_tvmerge_is_written(hub: _Hub, holds: list[str] | None) -> None:
    hub.holds = holds
    check_upload("owner/merged")


def test_a_refusal_is_told_in_one_line_and_leaves_the_folder(hub: _Hub, folder: Path) -> None:
    hub.refuses = True
    with pytest.raises(
        CheckpointError, match=r"could not be uploaded to owner/merged: .*403.*HF_TOKEN.*hf upload"
    ) as caught:
        push_to_hub(folder, "owner/merged")
    assert "\n" not in str(caught.value)
    assert (folder / "model.safetensors").exists()
    assert hub.commits == []


@pytest.mark.parametrize(
    "repo",
    [
        "merged",
        "a/b/c",
        "",
        "a/",
        "a b/c",
        "-a/b",
        "a/b--c",
        "a/b.git",
        "a/\u00fcber",
        "a/" + "b" * 97,
        "a/b\n",
    ],
)
def test_a_name_that_the_hub_has_no_repositories_of_is_refused(repo: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a repository: owner/name"):
        check_repository(repo)


def test_a_token_that_may_write_to_the_owner_is_enough(hub: _Hub) -> None:
    check_upload("owner/merged")
    hub.user["orgs"] = [{"name": "team"}]
    check_upload("team/merged")
    assert (hub.made, hub.commits) == ([], [])


@pytest.mark.parametrize(
    ("user", "knows_token", "expected"),
    [
        ({"name": "owner"}, False, "rejects the token"),
        ({"name": "else"}, True, "that of else, who is not a member of owner"),
        ({"name": "owner", "auth": {"accessToken": {"role": "read"}}}, True, "may only read"),
        ({"name": 1, "orgs": [None, "x"], "auth": []}, True, "not a member of owner"),
    ],
)
def test_an_upload_that_will_fail_is_known_before_a_run(
    hub: _Hub, user: dict[str, Any], knows_token: bool, expected: str
) -> None:
    hub.user, hub.knows_token = user, knows_token
    with pytest.raises(ConfigError, match=expected) as caught:
        check_upload("owner/merged")
    assert "\n" not in str(caught.value)


def test_an_upload_without_a_token_is_refused(hub: _Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(ConfigError, match="no token of the hub; set HF_TOKEN"):
        check_upload("owner/merged")
