"""A vendor's API on loopback: OpenAI's, Anthropic's and Google's wire formats, saying what a test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

HOLD_LIMIT_S = 30.0
"""How long a held answer waits for its release at most, in seconds: a failed test must still end."""


@dataclass(frozen=True, slots=True)
class Says:
    """The model answers.

    Attributes:
        text: the answer.
        input_tokens: as the vendor would count; `None` for both leaves the usage out, as some servers do.
        output_tokens: likewise.
        finish: why it stopped.
    """

    text: str
    input_tokens: int | None = 11
    output_tokens: int | None = 7
    finish: Literal["stop", "length", "refusal"] = "stop"


@dataclass(frozen=True, slots=True)
class Fails:
    """The vendor answers with an error status.

    Attributes:
        status: the HTTP status.
        message: the vendor's words.
        retry_after_s: what its `Retry-After` header says, in seconds.
    """

    status: int
    message: str = "scripted failure"
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Garbles:
    """The vendor answers 200 with bytes that are not its format."""

    body: str = "<html>gateway</html>"


@dataclass(frozen=True, slots=True)
class Drops:
    """The vendor closes the connection without a word."""


@dataclass(frozen=True, slots=True)
class Holds:
    """The vendor says nothing until the test sets the event or the server closes."""

    release: threading.Event = field(default_factory=threading.Event)


Line = Says | Fails | Garbles | Drops | Holds


@dataclass(frozen=True, slots=True)
class Heard:
    """One request that arrived.

    Attributes:
        path: with its query.
        headers: names in lower case.
        body: as JSON.
    """

    path: str
    headers: Mapping[str, str]
    body: Any


class StubVendor:
    """A server on loopback, one scripted line per request; the last line is repeated.

    Use as a context manager. `base_url` has no path; OpenAI's format is under `/v1`.

    Attributes:
        heard: every request, in order.
    """

    def __init__(self, script: Iterable[Line]) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self.heard: list[Heard] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """The root of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._script:
            if isinstance(line, Holds):
                line.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_line(self, heard: Heard) -> Line:
        """The line for a request, which is recorded."""
        with self._lock:
            self.heard.append(heard)
            return self._script[min(len(self.heard), len(self._script)) - 1]


def _handler(vendor: StubVendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = Heard(self.path, headers, json.loads(raw) if raw else None)
            line = vendor.next_line(heard)
            if isinstance(line, Holds):
                line.release.wait(HOLD_LIMIT_S)
            if isinstance(line, Drops | Holds):
                self.close_connection = True
                return
            status, more, body = _answer(heard, line)
            self.send_response(status)
            for name, value in {"content-type": "application/json", **more}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the standard library's name)
            """Say nothing: the test reads `heard`."""

    return Handler


def _answer(heard: Heard, line: Says | Fails | Garbles) -> tuple[int, dict[str, str], bytes]:
    if isinstance(line, Garbles):
        return 200, {}, line.body.encode()
    path = heard.path.partition("?")[0]
    if isinstance(line, Fails):
        more = {} if line.retry_after_s is None else {"retry-after": str(line.retry_after_s)}
        return line.status, more, _dump(_error(path, line))
    formats: dict[str, Callable[[Says, Any], dict[str, Any]]] = {
        "/chat/completions": _openai,
        "/embeddings": _openai_embeddings,
        "/messages": _anthropic,
        ":batchEmbedContents": _google_embeddings,
        ":generateContent": _google,
    }
    for ending, spoken in formats.items():
        if path.endswith(ending):
            return 200, {}, _dump(spoken(line, heard.body))
    return 404, {}, _dump({"error": {"message": f"no such path: {path}"}})


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _error(path: str, line: Fails) -> dict[str, Any]:
    if path.endswith("/messages"):
        return {"type": "error", "error": {"type": "api_error", "message": line.message}}
    if path.endswith(":generateContent"):
        return {"error": {"code": line.status, "message": line.message, "status": "SCRIPTED"}}
    return {"error": {"message": line.message, "type": "api_error", "code": "scripted"}}


def _openai(line: Says, body: Any) -> dict[str, Any]:
    finish = {"stop": "stop", "length": "length", "refusal": "content_filter"}[line.finish]
    message = {"role": "assistant", "content": line.text}
    reply: dict[str, Any] = {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if line.input_tokens is not None and line.output_tokens is not None:
        total = line.input_tokens + line.output_tokens
        reply["usage"] = {
            "prompt_tokens": line.input_tokens,
            "completion_tokens": line.output_tokens,
            "total_tokens": total,
        }
    return reply


def _openai_embeddings(_line: Says, body: Any) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": [3.0, 4.0, float(index)]}
        for index, _ in enumerate(body["input"])
    ]
    usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _google_embeddings(_line: Says, body: Any) -> dict[str, Any]:
    return {"embeddings": [{"values": [3.0, 4.0, float(index)]} for index, _ in enumerate(body["requests"])]}


def _anthropic(line: Says, body: Any) -> dict[str, Any]:
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": line.text}],
        "stop_reason": {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}[line.finish],
        "stop_sequence": None,
        "usage": {"input_tokens": line.input_tokens or 0, "output_tokens": line.output_tokens or 0},
    }


def _google(line: Says, _body: Any) -> dict[str, Any]:
    candidate = {
        "content": {"role": "model", "parts": [{"text": line.text}]},
        "finishReason": {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}[line.finish],
        "index": 0,
    }
    tokens_in, tokens_out = line.input_tokens or 0, line.output_tokens or 0
    usage = {
        "promptTokenCount": tokens_in,
        "candidatesTokenCount": tokens_out,
        "totalTokenCount": tokens_in + tokens_out,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "stub"}
