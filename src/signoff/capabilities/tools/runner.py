"""Calls tools by their contracts: arguments and answers are checked here, whatever kind of tool it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from signoff.capabilities.tools.failures import bad_arguments, broken_answer
from signoff.capabilities.tools.http import HttpTools
from signoff.capabilities.tools.model import SecretSource, ToolResult, ToolSettings
from signoff.capabilities.tools.python import PythonTools
from signoff.capabilities.tools.secrets import environment_secrets
from signoff.catalog.tools import HttpCall, ToolContract
from signoff.core.clock import Clock, SystemClock
from signoff.core.errors import StepError

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
NO_FILES: Mapping[str, bytes] = MappingProxyType({})


def always() -> None:
    """Nothing forbids it."""


class ToolRunner:
    """One per worker; safe for any number of calls at once. Close it when the worker stops."""

    def __init__(
        self,
        settings: ToolSettings | None = None,
        *,
        clock: Clock | None = None,
        secrets: SecretSource | None = None,
    ) -> None:
        settings = settings or ToolSettings()
        self._unacknowledged_s = settings.unacknowledged_s
        self._clock = clock or SystemClock()
        self._http = HttpTools(settings, self._clock, secrets or environment_secrets())
        self._python = PythonTools(settings)

    def settles_after_s(self, contract: ToolContract) -> float:
        """How long after its intent a call of that tool may still take effect, in seconds."""
        on_the_way_s = self._unacknowledged_s if isinstance(contract.call, HttpCall) else 0.0
        return contract.timeout_s + on_the_way_s + contract.settle_s

    async def close(self) -> None:
        """Close connections and forget loaded code."""
        await self._http.close()
        self._python.close()

    async def call(
        self,
        contract: ToolContract,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        files: Mapping[str, bytes] = NO_FILES,
        may_send: Callable[[], None] = always,
    ) -> ToolResult:
        """Call a tool once. Policy and intent records are the step's business, before this.

        Args:
            contract: the tool.
            arguments: plain JSON data, checked against the input schema before anything is sent.
            idempotency_key: where the contract takes one, the same for every try of one effect.
            timeout_s: how long the whole call may take, in seconds; the contract's own where that is shorter.
            settings: the project's settings, resolved, for `${settings.name}` in URLs and headers.
            files: the bytes of the release's files, for Python tools.
            may_send: called at the last moment before anything leaves; what it raises comes out, and nothing has left.

        Raises:
            StepError: with `outcome_unknown` where a write may have happened: no answer after sending, a 5xx, or an
                answer that breaks the contract.
        """
        given = _with_key(contract, arguments, idempotency_key)
        problems = contract.arguments.problems(given)
        if problems:
            raise bad_arguments(contract, "its arguments break the input schema.", problems)
        limit_s = contract.timeout_s if timeout_s is None else min(contract.timeout_s, timeout_s)
        began_s = self._clock.monotonic_s()
        status = None
        if isinstance(contract.call, HttpCall):
            output, status = await self._http.call(
                contract,
                contract.call,
                given,
                idempotency_key=idempotency_key,
                timeout_s=limit_s,
                settings=settings,
                may_send=may_send,
            )
        else:
            output = await self._python.call(
                contract,
                contract.call,
                given,
                timeout_s=limit_s,
                files=files,
                idempotency_key=idempotency_key if contract.effect else None,
                may_send=may_send,
            )
        problems = contract.answers.problems(output)
        if problems:
            raise broken_answer(contract, problems[0].detail, problems)
        return ToolResult(output, self._clock.monotonic_s() - began_s, status)

    async def look_up(
        self,
        contract: ToolContract,
        tools: Mapping[str, ToolContract],
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str,
        timeout_s: float | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> ToolResult | None:
        """The outcome of a call with this key, or none if it never happened.

        The look-up tool gets the key and those of the call's arguments that it knows. It says `not_found` for a call
        that never happened; what it finds must meet the output schema of the tool that was called. A call of this key
        that outlived its timeout in a thread of this worker is waited for.

        Raises:
            StepError: `misconfigured` where the contract has no usable look-up, else as `call`. The outcome stays
                unknown then.
        """
        idempotency = contract.idempotency
        finder = tools.get(idempotency.lookup_tool) if idempotency and idempotency.lookup_tool else None
        if idempotency is None or finder is None or finder.effect:
            raise StepError(
                f"Tool '{contract.name}' has no look-up that only reads.", kind="misconfigured", outcome_unknown=True
            )
        if not isinstance(contract.call, HttpCall):
            await self._python.quiet(idempotency_key)  # a thread outlives its timeout, and could act after the look
        known = finder.input_schema.get("properties", {})
        given = {name: value for name, value in arguments.items() if name in known}
        given[idempotency.lookup_argument] = idempotency_key
        try:
            found = await self.call(finder, given, timeout_s=timeout_s, settings=settings, files=files)
        except StepError as error:
            if error.kind == "not_found":
                return None
            raise StepError(
                error.detail,
                kind=error.kind,
                retryable=error.retryable,
                outcome_unknown=True,
                retry_after_s=error.retry_after_s,
                problems=error.problems,
            ) from error
        problems = contract.answers.problems(found.output)
        if problems:
            raise broken_answer(contract, f"what its look-up found is no answer of it. {problems[0].detail}", problems)
        return found


def _with_key(contract: ToolContract, arguments: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    idempotency = contract.idempotency
    given = dict(arguments)
    if key is not None and idempotency is not None and idempotency.argument is not None:
        given[idempotency.argument] = key
    return given
