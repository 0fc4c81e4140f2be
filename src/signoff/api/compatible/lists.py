"""What is neither a chat nor a stream: embeddings, lists of models, and tokens counted before anything is sent."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from signoff.api.compatible.calls import place_of, served_of
from signoff.api.compatible.exchange import answered, body_of, json_answer, named
from signoff.api.compatible.faults import Shape
from signoff.api.compatible.headers import drops, headers_of
from signoff.api.compatible.members import Known, a_string, an_array, read_body, screened, unsupported, wrong
from signoff.api.compatible.messages_request import read_counted
from signoff.api.compatible.placing import Place
from signoff.capabilities.gateway.chats.estimating import input_tokens
from signoff.core.errors import NotFoundError

EMBEDDING = Known(
    frozenset(("model", "input", "encoding_format")),
    hints=frozenset(("user",)),
    advice={"dimensions": "Cut the vectors yourself, where the model allows it; or set it on the model."},
)
_SINCE = 1_700_000_000
"""`created` of a model: projects do not say when a model was made, and SDKs want a time."""
_SINCE_TEXT = "2023-11-14T22:13:20Z"


async def embed(request: Request) -> Response:
    """Vectors of texts."""

    async def handle(request: Request) -> Response:
        served, place = served_of(request), await place_of(request)
        body = read_body(body_of(request))
        ignored = screened(body, EMBEDDING)
        texts = _input(body.get("input"), served.settings.max_embedding_inputs)
        form = body.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise wrong("encoding_format", "'encoding_format' is float or base64.")
        model = a_string(body.get("model"), "model")
        asked = place.asked(request.headers, model=model, task="embed")
        found = await served.gateway.embed(
            texts,
            place.config,
            decide=place.decide(asked),
            timeout_s=served.timeout_s(request.headers),
            asked=asked,
        )
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, form)}
            for index, vector in enumerate(found.vectors)
        ]
        tokens = found.usage.input_tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        headers = {"signoff-call-id": str(found.call_id), "signoff-model": found.model}
        if ignored:
            headers["signoff-ignored"] = ", ".join(ignored)
        return json_answer({"object": "list", "data": data, "model": found.model, "usage": usage}, headers)

    return await answered(request, "openai", handle)


def _input(value: Any, most: int) -> list[str]:
    if value is None:
        raise wrong("input", "'input' is missing.", "missing_required_parameter")
    listed: list[Any] = [value] if isinstance(value, str) else an_array(value, "input", most)
    if not listed:
        raise wrong("input", "'input' has to have at least one text.", "empty_array")
    if any(isinstance(item, int | list) for item in listed):
        raise unsupported("input", "Send texts rather than tokens: each model has its own.")
    return [a_string(item, f"input[{index}]") for index, item in enumerate(listed)]


def _encoded(vector: Sequence[float], form: str) -> Any:
    if form == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def models(request: Request) -> Response:
    """The models and routes that the caller may use."""
    shape = _shape(request)

    async def handle(request: Request) -> Response:
        place = await place_of(request)
        names = [name for name in place.names() if place.may_use(name)]
        found = [_model(place, name, shape) for name in names]
        if shape == "openai":
            return json_answer({"object": "list", "data": found}, {})
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return json_answer({"data": found, "has_more": False, **ends}, named(shape, request.state.request_id))

    return await answered(request, shape, handle)


async def model(request: Request) -> Response:
    """One model or route."""
    shape = _shape(request)

    async def handle(request: Request) -> Response:
        place = await place_of(request)
        name = request.path_params["model"]
        if name not in place.names() or not place.may_use(name):
            raise NotFoundError(f"There is no model or route '{name[:80]}' that you may use.")
        return json_answer(_model(place, name, shape), named(shape, request.state.request_id))

    return await answered(request, shape, handle)


def _shape(request: Request) -> Shape:
    """Both vendors list their models at the same path; Anthropic's SDK always sends its version."""
    return "anthropic" if "anthropic-version" in request.headers else "openai"


def _model(place: Place, name: str, shape: Shape) -> dict[str, Any]:
    if shape == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _SINCE_TEXT}
    spec = place.config.models.get(name)
    owner = spec.provider if spec is not None else "route"
    return {"id": name, "object": "model", "created": _SINCE, "owned_by": owner}


async def count_tokens(request: Request) -> Response:
    """How many tokens a request has at most: an estimate from above, as no tokenizer is asked."""

    async def handle(request: Request) -> Response:
        served, place = served_of(request), await place_of(request)
        headers = headers_of(request.scope)
        bounds = served.bounds.dropping(drops(headers, place.config.served))
        wanted = read_counted(read_body(body_of(request)), bounds)
        place.asked(headers, model=wanted.model, task="chat")
        told = {"signoff-estimate": "upper", **named("anthropic", request.state.request_id)}
        return json_answer({"input_tokens": input_tokens(wanted.request)}, told)

    return await answered(request, "anthropic", handle)
