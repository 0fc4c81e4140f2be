"""The recorded exchanges of `provider_wire`, served on loopback one at a time, and the providers that ask for them."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from support.data import shared_data

from signoff.capabilities.gateway.chat import ChatMessage, ChatReply, ChatRequest, StreamEnd, TextPart
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.providers.vendors import Vendor
from signoff.catalog.models import ModelSpec

PROVIDERS = (
    "anthropic",
    "azure-openai",
    "bedrock",
    "cerebras",
    "cohere",
    "deepseek",
    "gemini",
    "groq",
    "huggingface",
    "mistral",
    "ollama",
    "openai",
    "openrouter",
    "vertex",
)
KINDS = {
    "azure-openai": "azure_openai",
    "gemini": "google",
    "vertex": "google_vertex",
}
OTHER_APIS = ("embeddings", "rerank")
ASK = ChatRequest((ChatMessage("user", (TextPart("Hello"),)),))
SETTINGS = {
    "model": "m",
    "api_key": "k",
    "access_token": "t",
    "project": "p",
    "region": "us-east-1",
}


def exchanges(provider: str) -> list[dict[str, Any]]:
    """The exchanges of a provider."""
    path = shared_data("provider_wire", "dev", f"{provider}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


def is_chat(exchange: dict[str, Any]) -> bool:
    """Whether it is a chat: no vectors, no ranking, no Assistants threads."""
    threads = exchange["provider"] == "openai" and exchange["api"] == "messages"
    return exchange["api"] not in OTHER_APIS and not threads


def spec(exchange: dict[str, Any], url: str) -> ModelSpec:
    """The model of models.yaml that speaks the exchange's format."""
    provider, api = str(exchange["provider"]), str(exchange["api"])
    kind = KINDS.get(provider, provider)
    settings: dict[str, Any] = {**SETTINGS, "base_url": url}
    if provider in ("gemini", "ollama") and api == "chat.completions":
        kind = "openai_compatible"
    if api in ("responses", "converse", "invoke"):
        settings["api"] = api
    return ModelSpec(f"wire/{kind}", kind, settings)


class Replay:
    """A server that answers everything with one exchange's answer, and the providers that ask it."""

    def __init__(self) -> None:
        self.exchange: dict[str, Any] = {}
        self.paths: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._providers: dict[str, Vendor] = {}

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for provider in self._providers.values():
            await provider.aclose()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def provider(self, exchange: dict[str, Any]) -> Vendor:
        """The provider of the exchange's format, which will be answered with it."""
        self.exchange = exchange
        made = spec(exchange, f"http://127.0.0.1:{self._server.server_address[1]}")
        key = f"{made.provider} {made.settings.get('api')}"
        if key not in self._providers:
            provider = default_factories()[made.provider](made)
            assert isinstance(provider, Vendor)
            self._providers[key] = provider
        return self._providers[key]

    async def outcome(self, exchange: dict[str, Any]) -> ChatReply | StreamEnd | ProviderError:
        """What the exchange becomes."""
        provider = self.provider(exchange)
        response = exchange["response"]
        kind = response["headers"].get("content-type", "")
        try:
            if "stream" not in kind and "ndjson" not in kind:
                return await provider.chat(ASK)
            ends = [event async for event in provider.stream(ASK) if isinstance(event, StreamEnd)]
        except ProviderError as error:
            return error
        assert len(ends) == 1
        return ends[0]


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            replay.paths.append(self.path)
            response = replay.exchange["response"]
            text, encoded = response["body_text"], response["body_base64"]
            body = base64.b64decode(encoded) if encoded else (text or "").encode()
            self.send_response(response["status"] or 200)
            for name, value in response["headers"].items():
                self.send_header(name, str(value))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the standard library's name)
            """Say nothing."""

    return Handler
