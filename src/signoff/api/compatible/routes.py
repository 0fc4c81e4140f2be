"""The routes of the served gateway, under a project's and environment's base URL and under the server's own."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response, Security
from fastapi.routing import APIRoute
from starlette.types import Scope

from signoff.api.compatible import lists
from signoff.api.compatible.calls import CHAT, MESSAGES, RESPONSES, converse
from signoff.api.compatible.faults import Shape
from signoff.api.services import api_key_scheme

BASES = ("/v1", "/projects/{project}/environments/{environment}/v1")
_ENDPOINT = r"(?P<endpoint>chat/completions|responses|embeddings|models(?:/.*)?|messages(?:/count_tokens)?)"
_SERVED = re.compile(rf"(?:/projects/(?P<project>[^/]+)/environments/(?P<environment>[^/]+))?/v1/{_ENDPOINT}")


def endpoint_of(path: str) -> str | None:
    """Which endpoint of the served gateway a path is, such as `chat/completions`; none for other paths."""
    found = _SERVED.fullmatch(path)
    return found["endpoint"] if found else None


def shape_of(endpoint: str, *, anthropic: bool) -> Shape:
    """Whose errors an endpoint answers with. `anthropic`: whether the request is of Anthropic's SDK."""
    if endpoint.startswith("models"):
        return "anthropic" if anthropic else "openai"
    return "anthropic" if endpoint.startswith("messages") else "openai"


class _RawRoute(APIRoute):
    """A route whose handler reads the body and writes the answer itself: validation took longer than the rest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint

        async def handled(request: Request) -> Response:
            return await endpoint(request)

        return handled


async def chat_completions(request: Request) -> Response:
    """OpenAI's chat completions: `model` names a model or a route of models.yaml. With `stream`, events."""
    return await converse(request, CHAT)


async def responses(request: Request) -> Response:
    """OpenAI's responses. Nothing is stored: the whole conversation comes with each request."""
    return await converse(request, RESPONSES)


async def messages(request: Request) -> Response:
    """Anthropic's messages: `model` names a model or a route of models.yaml. With `stream`, events."""
    return await converse(request, MESSAGES)


def _bodied(about: str) -> dict[str, Any]:
    schema = {"type": "object", "description": about, "additionalProperties": True}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _answers(*, streams: bool) -> dict[int | str, dict[str, Any]]:
    said: dict[str, Any] = {"application/json": {"schema": {"type": "object", "additionalProperties": True}}}
    if streams:
        said["text/event-stream"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": {"type": "object", "description": "The vendor's own form of an error."}}}
    told = {
        400: "The request is wrong, or asks for what is not supported.",
        401: "No API key, or one that is unknown, revoked or expired.",
        403: "Policy does not permit it.",
        404: "There is no such project, environment, model or route.",
        413: "The request is larger than the server takes.",
        429: "A quota, a budget, or the vendor's own limit is used up.",
        503: "Nobody can answer now; try again.",
    }
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "The vendor's own form.", "content": said}}
    return answers | {status: {"description": text, "content": error} for status, text in told.items()}


_Endpoint = Callable[[Request], Awaitable[Response]]
_OPERATIONS: tuple[tuple[str, str, _Endpoint, str, str], ...] = (
    ("POST", "/chat/completions", chat_completions, "createChatCompletion", "Chat, in OpenAI's format"),
    ("POST", "/responses", responses, "createResponse", "Chat, in the format of OpenAI's responses"),
    ("POST", "/embeddings", lists.embed, "createEmbedding", "Vectors of texts, in OpenAI's format"),
    ("POST", "/messages", messages, "createMessage", "Chat, in Anthropic's format"),
    ("POST", "/messages/count_tokens", lists.count_tokens, "countTokens", "Count a message's tokens, from above"),
    ("GET", "/models", lists.models, "listModels", "List models and routes, in OpenAI's or Anthropic's format"),
    ("GET", "/models/{model:path}", lists.model, "readModel", "Read one model or route"),
)
_POSTS: Mapping[str, _Endpoint] = {
    path.removeprefix("/"): endpoint for method, path, endpoint, _, _ in _OPERATIONS if method == "POST"
}
_STREAMING = ("/chat/completions", "/responses", "/messages")


def handler_of(scope: Scope) -> _Endpoint | None:
    """What answers a POST to one of the endpoints; the path's parameters are in the scope then. None for all else.

    The routes below say the same to the application's router, which takes as long to find one as a quarter of the
    gateway's own work.
    """
    found = _SERVED.fullmatch(scope["path"]) if scope["method"] == "POST" else None
    handler = _POSTS.get(found["endpoint"]) if found else None
    if found is not None and handler is not None:
        scope["path_params"] = {name: found[name] for name in ("project", "environment") if found[name] is not None}
    return handler


def _router() -> APIRouter:
    router = APIRouter(dependencies=[Security(api_key_scheme)], route_class=_RawRoute, tags=["gateway"])
    for base in BASES:
        elsewhere = "InEnvironment" if base != BASES[0] else ""
        for method, path, endpoint, operation, summary in _OPERATIONS:
            router.add_api_route(
                base + path,
                endpoint,
                methods=[method],
                operation_id=operation + elsewhere,
                summary=summary,
                response_model=None,
                responses=_answers(streams=path in _STREAMING),
                openapi_extra=_bodied(summary) if method == "POST" else None,
            )
    return router


router = _router()
