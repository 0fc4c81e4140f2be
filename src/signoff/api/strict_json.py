"""Routes that read bodies as RFC 8259 has JSON: no NaN, no lone surrogates, bounded depth, no number that is rounded.

Python's own reader takes all of them, and what it took could not be journaled, or only as something else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from signoff.api.problems import MalformedError
from signoff.core.json_texts import rounded_number


class StrictRequest(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """The body's value.

        Raises:
            orjson.JSONDecodeError: it is no JSON.
            MalformedError: a whole number in it has more than 64 bits.
        """
        body = await self.body()
        value: Any = orjson.loads(body)
        if (place := rounded_number(body, value)) is not None:
            raise MalformedError(
                f"The whole number at character {place} of the body has more than 64 bits, and would be rounded. "
                "Send it as a text."
            )
        return value


class StrictRoute(APIRoute):
    """A route that reads its body strictly. Routers name it as their `route_class`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the strict reader."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict
