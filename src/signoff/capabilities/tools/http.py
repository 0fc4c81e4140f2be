"""HTTP tools. What goes out is exactly what the contract says; what comes back is hostile until it has been checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import orjson
from anyio import CancelScope

from signoff.capabilities.tools.connections import DEPARTURE, Departure, SocketOption
from signoff.capabilities.tools.failures import bad_arguments, broken_answer, declared_answer, misconfigured, timed_out
from signoff.capabilities.tools.model import SecretSource, ToolSettings
from signoff.capabilities.tools.templates import (
    SettingError,
    TemplateError,
    fill_secrets,
    fill_settings,
    fill_url,
    header_value,
    with_query,
)
from signoff.capabilities.tools.transport import OnePieceTransport
from signoff.catalog.tools import HttpCall, ToolContract
from signoff.core.clock import Clock
from signoff.core.errors import StepError

MAX_KEY_CHARACTERS = 255
"""Longer idempotency keys go out as their SHA-256: many APIs cut or refuse them."""

_T = TypeVar("_T")

KEEP_ALIVE_S = 2.0
"""How long an idle connection is kept, in seconds. Common servers close theirs after 5 s; a write that is sent into a
closing connection would have an unknown outcome."""

_QUERY_METHODS = frozenset(("GET", "HEAD", "DELETE"))
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class _Prepared:
    request: httpx.Request
    secrets: tuple[str, ...]


class HttpTools:
    """Calls HTTP tools over one shared connection pool. Keeps no cookies: they would leak between runs.

    Args:
        settings: limits of all calls.
        clock: the injected clock.
        secrets: the credentials that contracts name.
        transport: another way out than the settings say, for tests that need a certificate or small buffers.
    """

    def __init__(
        self,
        settings: ToolSettings,
        clock: Clock,
        secrets: SecretSource,
        *,
        transport: OnePieceTransport | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._secrets = secrets
        self._client = httpx.AsyncClient(
            transport=transport
            or OnePieceTransport(
                max_connections=settings.max_connections,
                keep_alive_s=KEEP_ALIVE_S,
                socket_options=_socket_options(settings.unacknowledged_s),
                proxy_url=settings.proxy_url,
            ),
            trust_env=False,  # neither proxies nor .netrc credentials from the environment
            follow_redirects=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "signoff", "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        contract: ToolContract,
        call: HttpCall,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None,
        timeout_s: float,
        settings: Mapping[str, str],
        may_send: Callable[[], None],
    ) -> tuple[dict[str, Any], int]:
        """The JSON object that the tool answered with, unchecked against its schema, and the status.

        `may_send` is asked right before the system call that sends, as connecting and waiting for a turn take time.

        Raises:
            StepError: nothing sent (`arguments`, `misconfigured`, `unreachable`), no answer (`timeout`,
                `connection`), or not a good one (`contract`, `redirect`, and kinds by status).
        """
        prepared = self._prepare(contract, call, arguments, idempotency_key, settings)
        departure = Departure(may_send)
        token = DEPARTURE.set(departure)
        try:
            async with asyncio.timeout(timeout_s):
                response, body = await _given_up_once(self._exchange(contract, prepared.request, timeout_s))
        except TimeoutError:
            raise timed_out(contract, timeout_s, sent=departure.sent) from None
        except httpx.HTTPError as error:
            raise self._no_answer(contract, error, timeout_s, sent=departure.sent) from None
        finally:
            DEPARTURE.reset(token)
        if not response.is_success:
            wait = response.headers.get("Retry-After")
            return declared_answer(contract, response.status_code, wait, self._clock.now()), response.status_code
        for secret in prepared.secrets:
            if len(secret) >= _SHORTEST_SECRET and secret.encode() in body:
                raise broken_answer(contract, "it repeats the credential.")
        return _decode(contract, response, body), response.status_code

    def _prepare(
        self,
        contract: ToolContract,
        call: HttpCall,
        arguments: Mapping[str, Any],
        idempotency_key: str | None,
        settings: Mapping[str, str],
    ) -> _Prepared:
        try:
            url, used = fill_url(call.url, settings, arguments)
            rest = {name: value for name, value in arguments.items() if name not in used}
            headers = {name: header_value(name, fill_settings(text, settings)) for name, text in call.headers.items()}
            secrets: tuple[str, ...] = ()
            if contract.auth is not None:
                text, secrets = fill_secrets(contract.auth.value, self._secrets)
                headers[contract.auth.header] = header_value(contract.auth.header, text)
            if contract.idempotency and contract.idempotency.header and idempotency_key is not None:
                headers[contract.idempotency.header] = key_for_header(idempotency_key)
            content = None
            if call.method in _QUERY_METHODS:
                url = with_query(url, rest)
            else:
                content = orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)
                headers["Content-Type"] = "application/json"
            if content is not None and len(content) > self._settings.max_request_bytes:
                raise TemplateError(f"its arguments have more than {self._settings.max_request_bytes} bytes")
            return _Prepared(self._client.build_request(call.method, url, headers=headers, content=content), secrets)
        except SettingError as error:
            raise misconfigured(contract, f"{error}.") from None
        except (ValueError, TypeError, httpx.InvalidURL) as error:  # orjson's and httpx's own complaints included
            detail = str(error) if isinstance(error, TemplateError) else "its arguments make no valid request"
            raise bad_arguments(contract, f"{detail}.") from None

    async def _exchange(
        self, contract: ToolContract, request: httpx.Request, timeout_s: float
    ) -> tuple[httpx.Response, bytes]:
        """Send, follow what may be followed, and read at most the allowed size."""
        timeout = httpx.Timeout(timeout_s, connect=min(self._settings.connect_timeout_s, timeout_s))
        request.extensions |= {"timeout": timeout.as_dict()}
        for _ in range(self._settings.max_redirects + 1):
            response = await self._client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return response, await self._read(contract, response)
                following = response.next_request
            finally:
                await response.aclose()
            if contract.effect or following is None or not _same_origin(request.url, following.url):
                break
            request = following
            request.extensions |= {"timeout": timeout.as_dict()}
        raise StepError(
            f"Tool '{contract.name}' answered with a redirect that is not followed.",
            kind="redirect",
            outcome_unknown=contract.effect,
        )

    async def _read(self, contract: ToolContract, response: httpx.Response) -> bytes:
        if not response.is_success:  # its text is not wanted: it may hold anything
            return b""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise broken_answer(contract, "it is compressed, which was not asked for.")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._settings.max_response_bytes:
                raise broken_answer(contract, f"it has more than {self._settings.max_response_bytes} bytes.")
        return bytes(body)

    def _no_answer(self, contract: ToolContract, error: httpx.HTTPError, timeout_s: float, *, sent: bool) -> StepError:
        if isinstance(error, httpx.ConnectTimeout):
            return timed_out(contract, min(self._settings.connect_timeout_s, timeout_s), sent=sent)
        if isinstance(error, httpx.TimeoutException):
            return timed_out(contract, timeout_s, sent=sent)
        return StepError(
            f"The connection to tool '{contract.name}' broke." if sent else f"Tool '{contract.name}' is not reachable.",
            kind="connection" if sent else "unreachable",
            retryable=True,
            outcome_unknown=contract.effect and sent,
        )


async def _given_up_once(exchange: Coroutine[Any, Any, _T]) -> _T:
    """What an exchange gives; however often it is cancelled, and whenever, it cleans up in peace.

    httpcore shields its cleaning up from anyio's cancellation only. A `Task.cancel` in the midst of it left the
    connection open and in the pool, taken for ever: the second one, where a call's time is over in the moment in which
    its worker's session is, and already the first, where the lease had just kept the rest of a request back.
    """
    scope = CancelScope()

    async def shielded_in_part() -> _T:
        with scope:
            return await exchange
        raise asyncio.CancelledError

    task = asyncio.create_task(shielded_in_part())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        scope.cancel()
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # whoever gave up does not want to know
        raise


def _socket_options(unacknowledged_s: float) -> list[SocketOption]:
    """Bounds how long the kernel goes on sending what the other side does not acknowledge (RFC 5482).

    Without it a request on a cut line arrives when the line is back, minutes after its worker was declared dead, the
    call was looked up, not found, and made again.
    """
    option: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    return [] if option is None else [(socket.IPPROTO_TCP, option, round(unacknowledged_s * 1000))]


def _decode(contract: ToolContract, response: httpx.Response, body: bytes) -> dict[str, Any]:
    if not body:  # 204, or a success that has nothing to say
        return {}
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise broken_answer(contract, "its content type is not JSON.")
    try:
        output = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise broken_answer(contract, "it is not valid JSON.") from None
    if not isinstance(output, dict):
        raise broken_answer(contract, "it is no JSON object.")
    return cast("dict[str, Any]", output)


def key_for_header(key: str) -> str:
    """The key in characters that every HTTP header carries; different keys stay different."""
    text = quote(key, safe=_VISIBLE)
    return text if len(text) <= MAX_KEY_CHARACTERS else sha256(key.encode()).hexdigest()


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
