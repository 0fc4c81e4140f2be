"""The API as commands use it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from signoff.cli.workspace import project_directory, read_dev, state_directory_of
from signoff.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NotFoundError,
    Problem,
    SignoffError,
    UnauthenticatedError,
    UnavailableError,
)

TIMEOUT_S = 60.0
"""How long one request may take, in seconds."""

_KINDS: Mapping[int, type[SignoffError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    413: LimitError,
    429: LimitError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


class ApiClient:
    """A signed-in client of one server."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"}
        # No proxies or netrc from the environment for loopback: the key goes to the URL named and nowhere else.
        local = urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}
        # To this machine without TLS there is nothing to verify: reading the certificates was a tenth of a command.
        plain = local and urlsplit(self.url).scheme == "http"
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=not local, verify=not plain
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The JSON object at a path; parameters that are none are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=given)

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer to a JSON object sent to a path."""
        return self._ask("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer to a JSON object put at a path."""
        return self._ask("PUT", path, json=body, headers=headers)

    def delete(self, path: str) -> None:
        """Delete what is at a path."""
        self._answered("DELETE", path)

    def download(self, path: str) -> bytes:
        """The bytes at a path."""
        return self._answered("GET", path).content

    def pages(self, path: str, *, most: int, **parameters: Any) -> Iterator[dict[str, Any]]:
        """At most that many items of a list, read page by page."""
        cursor: str | None = None
        while most > 0:
            page = self.get(path, cursor=cursor, limit=min(most, 200), **parameters)
            yield from page["items"]
            most -= len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    @property
    def _shown(self) -> str:
        """The URL without a user's name and password, which are nobody's business in an error."""
        scheme, mark, rest = self.url.rpartition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        return self._answered(method, path, **arguments).json()

    def _answered(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            said = str(error).rstrip(".")
            detail = f"No server answers at {self._shown}: {said}. Start one with 'signoff dev', or name it with --url."
            raise UnavailableError(detail) from error
        except httpx.InvalidURL as error:
            raise InvalidError(f"'{self._shown}' is not a URL: {error}.") from error
        if response.is_success:
            return response
        raise _error(response)


def _error(response: httpx.Response) -> SignoffError:
    kind = _KINDS.get(response.status_code, InvalidError if response.is_client_error else SignoffError)
    try:
        body: dict[str, Any] = response.json()
        problems = [
            Problem(
                item["detail"],
                pointer=item.get("pointer"),
                suggestion=item.get("suggestion"),
                code=item.get("code", "invalid"),
            )
            for item in body.get("errors", ())
        ]
        detail = str(body["detail"])
        if response.is_server_error and "request_id" in body:
            detail += f" (request {body['request_id']})"
    except (ValueError, KeyError, TypeError):
        return kind(f"The server at {response.url.host} answered {response.status_code} without a problem to read.")
    return kind(detail, problems=problems)


def connect(url: str | None, key: str | None, project: Path | None) -> ApiClient:
    """A client of the server named, or of the project's own `signoff dev`.

    Args:
        url: the server's URL; `SIGNOFF_URL` and then `.signoff/dev.json` where none.
        key: an API key, or the name of one saved in `.signoff/dev.json`; `SIGNOFF_API_KEY` and then the file.
        project: the project whose file is meant.

    Raises:
        UnavailableError: no server is known.
        UnauthenticatedError: no key is known.
    """
    url = url or os.environ.get("SIGNOFF_URL") or None
    key = key or os.environ.get("SIGNOFF_API_KEY") or None
    if url and key and key.startswith("so_"):
        return ApiClient(url, key)
    state = read_dev(state_directory_of(project))
    if key is not None and not key.startswith("so_"):
        if key not in state.keys:
            known = ", ".join(sorted(state.keys)) or "none"
            raise UnauthenticatedError(f"No key named '{key}' is saved for this project. Saved: {known}.")
        key = state.keys[key]
    if not url and not state.url:
        where = project_directory(project)
        detail = f"'signoff dev' does not run for {where}. Start it there, or name a server with --url or SIGNOFF_URL."
        raise UnavailableError(detail)
    if key is None and url and url.rstrip("/") != (state.url or ""):
        # The project's own key is not for whatever server somebody names.
        raise UnauthenticatedError(f"Which API key is for {url}? Give --key or set SIGNOFF_API_KEY.")
    found = key or state.key
    if not found:
        raise UnauthenticatedError("No API key is known. Give --key or set SIGNOFF_API_KEY.")
    return ApiClient(url or state.url or "", found)
