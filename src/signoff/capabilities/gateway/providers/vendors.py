"""What the vendors' providers share: one call through pydantic-ai's `direct` interface, its errors made ours.

pydantic-ai speaks the wire formats and nothing more: no agent, no retries (ours are the gateway's), no credentials from
the environment (they come from `models.yaml`), no redirects (a key goes to the named host only).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from signoff.capabilities.gateway.model import FinishReason
from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.prompting import instructed, shown_schema
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import PromptMessage

CONNECT_TIMEOUT_S = 10.0
"""How long a connection may take to open, in seconds; the whole call has the task's timeout."""
READ_TIMEOUT_S = 600.0
"""The clients' own limit, in seconds, never reached before the task's."""

_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_ITS_FORMAT = "The vendor's answer is not in its own format."
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Vendor:
    """A model behind a vendor's API.

    Args:
        name: the provider kind.
        model: pydantic-ai's model, with a client of its own.
        http_client: that client's connections.
        settings: `structured` says how the answer's form is asked for: `schema` (the API's own structured output,
            where the model has it) or `prompt` (the schema in words). `temperature` is 0 where not given; null leaves
            it to the vendor, as some reasoning models demand.
    """

    tasks = frozenset({"classify", "extract", "generate"})
    local = False
    repairable = True

    def __init__(self, name: str, model: Model[Any], http_client: httpx2.AsyncClient, settings: ModelSpec) -> None:
        self.name = name
        self._model = model
        self._http_client = http_client
        wished = settings.settings.get("structured", "schema")
        if wished not in ("schema", "prompt"):
            raise ProviderError("setup", f"`structured` of {settings.name} is `schema` or `prompt`, not '{wished}'.")
        temperature = settings.settings.get("temperature", 0.0)
        self._temperature = None if temperature is None else float(temperature)
        self._native = wished == "schema" and bool(model.profile.get("supports_json_schema_output", False))

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """One call to the vendor.

        Raises:
            ProviderError: no answer, or none that can be read.
        """
        parameters = self._shape(request)
        native = parameters.output_object is not None
        messages = _conversation(instructed(request, show_schema=not native))
        settings = ModelSettings(max_tokens=request.max_output_tokens, timeout=request.timeout_s, max_retries=0)
        if self._temperature is not None:
            settings["temperature"] = self._temperature
        try:
            response = await model_request(
                self._model, messages, model_settings=settings, model_request_parameters=parameters
            )
        except ContentFilterError:
            return ProviderReply("", finish_reason="refusal")
        except (ModelAPIError, UnexpectedModelBehavior, UserError, httpx2.HTTPError) as error:
            # Not chained: the original holds the request, its headers and the vendor's words about them.
            raise _as_ours(error) from None
        except (TypeError, ValueError, LookupError, AttributeError, AssertionError) as error:
            # The SDKs read answers unchecked: a member that is missing breaks them in whatever way it does.
            raise ProviderError("unavailable", f"{_NOT_ITS_FORMAT} ({type(error).__name__}.)") from None
        return _reply(response)

    def _shape(self, request: ProviderRequest) -> ModelRequestParameters:
        """The answer's form in the API's own structured output, or nothing where that cannot express the schema."""
        if not self._native or request.output_schema is None:
            return ModelRequestParameters()
        shape = OutputObjectDefinition(json_schema=shown_schema(request.output_schema), name="answer")
        parameters = ModelRequestParameters(output_mode="native", output_object=shape)
        try:
            self._model.customize_request_parameters(parameters)
        except Exception:  # noqa: BLE001  (each SDK fails in its own way on schemas beyond its subset; words always work)
            return ModelRequestParameters()
        return parameters

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Not offered by this vendor's provider.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", f"{self.name} does not embed.")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http_client.aclose()


def http_client(base_url: str, *, never_sent: Sequence[str] = ()) -> httpx2.AsyncClient:
    """Connections of one provider. A proxy of the environment is honoured, except to this machine itself.

    Args:
        base_url: the endpoint.
        never_sent: headers that an SDK would add from the environment.
    """

    async def strip(request: httpx2.Request) -> None:
        for header in never_sent:
            request.headers.pop(header, None)

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        event_hooks={"request": [strip]},
        trust_env=urlsplit(base_url).hostname not in _LOOPBACK,
    )


def base_url(spec: ModelSpec, default: str) -> str:
    """The endpoint of a model.

    Raises:
        ProviderError: it is no URL.
    """
    url = str(spec.settings.get("base_url") or default)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError("setup", f"`base_url` of {spec.name} is not an http or https URL.")
    return url


def _conversation(messages: Sequence[PromptMessage]) -> list[ModelMessage]:
    conversation: list[ModelMessage] = []
    parts: list[ModelRequestPart] = []
    for message in messages:
        if message.role == "assistant":
            conversation.extend([ModelRequest(parts=parts), ModelResponse(parts=[TextPart(message.content)])])
            parts = []
        elif message.role == "system":
            parts.append(SystemPromptPart(message.content))
        else:
            parts.append(UserPromptPart(message.content))
    if parts:
        conversation.append(ModelRequest(parts=parts))
    return conversation


def _reply(response: ModelResponse) -> ProviderReply:
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if not response.parts and response.finish_reason is None:
        raise ProviderError("unavailable", _NOT_ITS_FORMAT)
    finish_reason: FinishReason = "stop"
    if response.finish_reason == "content_filter":
        finish_reason = "refusal"
    elif response.finish_reason == "length":
        finish_reason = "length"
    usage = response.usage
    return ProviderReply(text, usage.input_tokens, usage.output_tokens, finish_reason)


def _as_ours(error: Exception) -> ProviderError:
    """The error without the vendor's text, which may repeat the key or the customer's words."""
    if isinstance(error, ModelQuotaExceededError):
        return ProviderError("setup", "The account's quota at the vendor is used up.")
    if isinstance(error, ModelHTTPError):
        return _of_status(error)
    if isinstance(error, ModelTimeoutError | httpx2.TimeoutException):
        return ProviderError("timeout", "The vendor did not answer in time.")
    if isinstance(error, UserError):
        return ProviderError("setup", "The model's settings do not work with this vendor.")
    if isinstance(error, ModelConnectionError | httpx2.HTTPError):
        return ProviderError("unavailable", "The vendor cannot be reached.")
    return ProviderError("unavailable", _NOT_ITS_FORMAT)


def _of_status(error: ModelHTTPError) -> ProviderError:
    status = error.status_code
    code = error.provider_error_code or error.provider_error_type or ""
    shown = f"{status} {code}" if _CODE.fullmatch(code) else str(status)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderError("rate_limited", f"The vendor limits the rate ({shown}).", retry_after_s=error.retry_after)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT:
        return ProviderError("unavailable", f"The vendor fails ({shown}).", retry_after_s=error.retry_after)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ProviderError("setup", f"The vendor refuses the key ({shown}); check `api_key` in models.yaml.")
    if status == HTTPStatus.NOT_FOUND:
        return ProviderError("setup", f"The vendor knows no such model or path ({shown}); check models.yaml.")
    return ProviderError("rejected", f"The vendor rejects the request ({shown}).")
