"""What calling a tool gives, and the limits of all calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from signoff.core.values import value

SecretSource = Callable[[str], str | None]
"""Gives the value behind a reference such as `secret.SHOP_TOKEN` or `env.SHOP_TOKEN`, or none."""


class ToolSettings(BaseModel):
    """Limits of tool calls in one worker.

    Attributes:
        connect_timeout_s: how long a connection may take to open, in seconds, within the call's own timeout.
        unacknowledged_s: how long bytes that were sent may go unacknowledged before the connection is given up, in
            seconds; so long after its timeout a request may still arrive, and that much later it is looked up.
        max_response_bytes: the largest answer that is read; tools that give more should give a reference.
        max_request_bytes: the largest JSON body that is sent.
        max_connections: open HTTP connections, over all tools.
        max_redirects: how many redirects on the same origin a read follows; a write follows none.
        max_threads: synchronous Python tools running at once, those that outlived their timeout included.
        max_releases: releases whose Python tools stay loaded.
        proxy_url: an HTTP proxy for all calls. The environment's proxy variables are not read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout_s: PositiveFloat = 5.0
    unacknowledged_s: PositiveFloat = 3.0
    max_response_bytes: PositiveInt = 4 * 1024 * 1024
    max_request_bytes: PositiveInt = 1024 * 1024
    max_connections: PositiveInt = 100
    max_redirects: int = 3
    max_threads: PositiveInt = 32
    max_releases: PositiveInt = 32
    proxy_url: str | None = None


@value
class ToolResult:
    """An answer that met the tool's contract.

    Attributes:
        output: plain JSON data that meets the output schema.
        latency_s: how long the call took, in seconds.
        status: the HTTP status, where there was one.
    """

    output: Mapping[str, Any]
    latency_s: float
    status: int | None = None
