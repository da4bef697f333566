"""Loopback servers with the batch endpoints of OpenAI and Anthropic, beside those for single requests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.anthropic_server import AnthropicServer
from tests.servers.http import LoopbackServer, Request, Response
from tests.servers.openai_server import OpenAIServer

Answer = Callable[[str, int], Response | str | None]
"""What becomes of a request, told its prompt and how often it was processed before: a response in place of
the rating, the reason why it was not processed (`expired`, `missing`), or nothing for a rating."""

Change = Callable[[str, Response], Response]
"""What is sent in the place of a response, told what was asked for (`upload`, `create`, `poll`, `list`,
`results`)."""


@dataclass
class Batch:
    """A batch at the server."""

    name: str
    requests: Sequence[tuple[str, Mapping[str, Any]]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    polls: int = 0
    over: bool = False
    status: str = ""
    failure: Mapping[str, Any] | None = None
    processed: list[tuple[str, Response | str]] = field(default_factory=list)
    results: list[tuple[str, Response | str]] = field(default_factory=list)
    created: float = field(default_factory=time.time)


class BatchServer(LoopbackServer):
    """What the two have in common. Set the attributes before the server is asked.

    Attributes:
        polls: How often a batch is looked at before it is over.
        answer: What becomes of its requests.
        change: What is sent in the place of a response, after the server has done what it was asked.
        refuse: What is sent instead, told what is asked for, without doing that.
        fail: Why OpenAI refuses a batch of so many requests after it was made, or nothing.
        batches: The batches, by name, in the order in which they were made.
        billed: Prompts that were answered in batches, in order.
        calls: What was asked for, in order.
        strangers: Results of nobody's requests that each batch has.
    """

    polls: int = 1
    strangers: int = 0

    def set_up(self) -> None:
        """Begin without batches."""
        self.answer: Answer = lambda prompt, number: None
        self.change: Change = lambda kind, response: response
        self.fail: Callable[[int], Mapping[str, Any] | None] = lambda number: None
        self.refuse: Callable[[str], Response | None] = lambda kind: None
        self.batches: dict[str, Batch] = {}
        self.billed: list[str] = []
        self.calls: list[str] = []
        self._processed: dict[str, int] = {}

    def rating(self, params: Mapping[str, Any]) -> Response:
        """The rating of a single request."""
        raise NotImplementedError

    def kind_of(self, method: str, path: str) -> str | None:
        """What a call asks for; None for one that is not to the batch endpoint."""
        raise NotImplementedError

    def do(self, kind: str, request: Request) -> Response:
        """Do what is asked for."""
        raise NotImplementedError

    def told(self, request: Request) -> Response | None:
        """The response to a call to the batch endpoint, as it is changed; None for any other call."""
        kind = self.kind_of(request.method, urlsplit(request.path).path)
        if kind is None:
            return None
        self.calls.append(kind)
        return self.refuse(kind) or self.change(kind, self.do(kind, request))

    def make(self, requests: Sequence[tuple[str, Mapping[str, Any]]], **more: Any) -> Batch:
        """Make a batch."""
        failure = self.fail(len(requests))
        batch = Batch(f"batch_{len(self.batches)}", requests, failure=failure, **more)
        self.batches[batch.name] = batch
        if failure is None:  # billed whether or not anybody ever looks at it
            batch.processed = [(key, self._process(params)) for key, params in requests]
        return batch

    def poll(self, name: str) -> Batch:
        """Look at a batch, which continues by that."""
        batch = self.batches[name]
        batch.polls += 1
        if batch.polls > self.polls and not batch.over and batch.failure is None:
            batch.over, batch.results = True, batch.processed
        return batch

    def _process(self, params: Mapping[str, Any]) -> Response | str:
        prompt = prompt_of(params)
        number = self._processed.get(prompt, 0)
        self._processed[prompt] = number + 1
        result = self.answer(prompt, number) or self.rating(params)
        if isinstance(result, Response) and result.status == 200:
            self.billed.append(prompt)
        return result


def prompt_of(params: Mapping[str, Any]) -> str:
    """The user's first message."""
    return str(next(m["content"] for m in params["messages"] if m["role"] == "user"))


class OpenAIBatchServer(BatchServer, OpenAIServer):
    """OpenAI's files and batches."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.set_up()
        self.files: dict[str, str] = {}

    def handle(self, request: Request) -> Response:
        """Answer."""
        return self.told(request) or super().handle(request)

    def rating(self, params: Mapping[str, Any]) -> Response:
        """A chat completion."""
        return super().handle(Request("POST", "/v1/chat/completions", {}, params))

    def kind_of(self, method: str, path: str) -> str | None:
        """What a call asks for."""
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "files"]:
                return "upload"
            case "POST", ["v1", "batches"]:
                return "create"
            case "GET", ["v1", "batches"]:
                return "list"
            case "GET", ["v1", "batches", name] if name in self.batches:
                return "poll"
            case "GET", ["v1", "files", _, "content"]:
                return "results"
        return None

    def do(self, kind: str, request: Request) -> Response:
        """Do it."""
        url = urlsplit(request.path)
        name = url.path.split("/")[3] if kind in ("poll", "results") else ""
        match kind:
            case "upload":
                name = f"file_{len(self.files)}"
                self.files[name] = _file_in(request.body)
                return Response({"id": name, "object": "file", "purpose": "batch"})
            case "create":
                return self._told(self._created(request.body))
            case "list":
                return _listed([self._told(b).body for b in self.batches.values()], url.query, "after")
            case "poll":
                return self._told(self.poll(name))
        return Response(self._content(name), content_type="application/octet-stream")

    def _created(self, body: Mapping[str, Any]) -> Batch:
        rows = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {row["url"] for row in rows} == {body["endpoint"]}
        assert len({row["custom_id"] for row in rows}) == len(rows)
        return self.make([(row["custom_id"], row["body"]) for row in rows], metadata=body["metadata"])

    def _told(self, batch: Batch) -> Response:
        status = batch.status or ("completed" if batch.over else "in_progress")
        failed = batch.failure is not None
        return Response(
            {
                "id": batch.name,
                "object": "batch",
                "endpoint": "/v1/chat/completions",
                "input_file_id": "file",
                "completion_window": "24h",
                "status": "failed" if failed else status,
                "created_at": int(batch.created),
                "metadata": batch.metadata,
                "errors": {"object": "list", "data": [batch.failure]} if failed else None,
                "output_file_id": f"output_{batch.name}" if batch.over else None,
                "error_file_id": f"errors_{batch.name}" if batch.over else None,
                "request_counts": {
                    "total": 0 if failed else len(batch.requests),
                    "completed": sum(result != "missing" for _, result in batch.results),
                    "failed": 0,
                },
            }
        )

    def _content(self, name: str) -> str:
        kind, _, of = name.partition("_")
        lines = [_openai_line(key, result) for key, result in self.batches[of].results if result != "missing"]
        good = [line for line in lines if line["response"] and line["response"]["status_code"] == 200]
        shown = good if kind == "output" else [line for line in lines if line not in good]
        if kind == "output":
            shown += [{**good[0], "custom_id": f"stranger-{n}"} for n in range(self.strangers if good else 0)]
        return "".join(f"{json.dumps(line)}\n" for line in reversed(shown))


class AnthropicBatchServer(BatchServer, AnthropicServer):
    """Anthropic's message batches."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.set_up()

    def handle(self, request: Request) -> Response:
        """Answer."""
        return self.told(request) or super().handle(request)

    def rating(self, params: Mapping[str, Any]) -> Response:
        """A message."""
        return super().handle(Request("POST", "/v1/messages", {}, params))

    def kind_of(self, method: str, path: str) -> str | None:
        """What a call asks for."""
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "messages", "batches"]:
                return "create"
            case "GET", ["v1", "messages", "batches"]:
                return "list"
            case "GET", ["v1", "messages", "batches", name] if name in self.batches:
                return "poll"
            case "GET", ["v1", "messages", "batches", _, "results"]:
                return "results"
        return None

    def do(self, kind: str, request: Request) -> Response:
        """Do it."""
        url = urlsplit(request.path)
        match kind:
            case "create":
                requests = [(row["custom_id"], row["params"]) for row in request.body["requests"]]
                assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", key) for key, _ in requests)
                return self._told(self.make(requests))
            case "list":
                return _listed([self._told(b).body for b in self.batches.values()], url.query, "after_id")
            case "poll":
                return self._told(self.poll(url.path.split("/")[4]))
        return Response(self._content(url.path.split("/")[4]), content_type="application/x-jsonl")

    def _told(self, batch: Batch) -> Response:
        words = ("succeeded", "errored", "canceled", "expired")
        counts = dict.fromkeys(words, 0)
        for _, result in batch.results:
            word = result if isinstance(result, str) else "succeeded" if result.status == 200 else "errored"
            counts[word] = counts.get(word, 0) + 1
        created = datetime.fromtimestamp(batch.created, UTC).isoformat()
        return Response(
            {
                "id": batch.name,
                "type": "message_batch",
                "processing_status": "ended" if batch.over else "in_progress",
                "request_counts": {
                    "processing": 0 if batch.over else len(batch.requests),
                    **{word: counts[word] for word in words},
                },
                "created_at": created.replace("+00:00", "Z"),
                "expires_at": created,
                "results_url": f"http://elsewhere.invalid/v1/messages/batches/{batch.name}/results"
                if batch.over
                else None,
            }
        )

    def _content(self, name: str) -> str:
        rows = [
            {"custom_id": key, "result": _anthropic_result(result)}
            for key, result in self.batches[name].results
            if result != "missing"
        ]
        rows += [{**rows[0], "custom_id": f"stranger-{n}"} for n in range(self.strangers)]
        return "".join(f"{json.dumps(row)}\n" for row in reversed(rows))


def _file_in(form: bytes) -> str:
    """The file in a form."""
    boundary = form.split(b"\r\n", 1)[0]
    part = next(part for part in form.split(boundary) if b"filename=" in part)
    return part.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n", 1)[0].decode()


def _listed(told: list[Any], query: str, cursor: str) -> Response:
    """A page of a list, the newest first."""
    asked = parse_qs(query)
    newest = told[::-1]
    after = asked.get(cursor)
    if after:
        newest = newest[[row["id"] for row in newest].index(after[0]) + 1 :]
    page = newest[: int(asked.get("limit", ["20"])[0])]
    return Response({"object": "list", "data": page, "has_more": len(page) < len(newest)})


def _openai_line(key: str, result: Response | str) -> dict[str, Any]:
    line: dict[str, Any] = {"id": "r", "custom_id": key, "response": None, "error": None}
    if isinstance(result, str):
        return {**line, "error": {"code": f"batch_{result}", "message": "This request was not executed."}}
    return {**line, "response": {"status_code": result.status, "request_id": "q", "body": result.body}}


def _anthropic_result(result: Response | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"type": result}
    if result.status == 200:
        return {"type": "succeeded", "message": result.body}
    return {"type": "errored", "error": result.body}
