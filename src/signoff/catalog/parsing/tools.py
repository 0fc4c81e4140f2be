"""`tools/*.yaml` into tool contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog.parsing.annotations import argument_classes, output_labels, sinks
from signoff.catalog.parsing.fields import Fields, problems_with
from signoff.catalog.parsing.filters import parse_outgoing
from signoff.catalog.parsing.tool_flow import parse_owner, parse_quota, parse_trigger
from signoff.catalog.references import find_references
from signoff.catalog.tools import (
    DEFAULT_TIMEOUT_S,
    Auth,
    HttpCall,
    Idempotency,
    PythonCall,
    Recovery,
    ToolContract,
    ToolFailure,
)
from signoff.core.errors import did_you_mean

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
RECOVERIES = ("resend", "lookup", "ask")
NAME = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\Z")
_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")
_PYTHON = re.compile(r"^(?P<file>tools/[A-Za-z0-9_/]+\.py):(?P<function>[A-Za-z_][A-Za-z0-9_]*)\Z")
_FAILURE = re.compile(r"^([1-5][0-9][0-9]|[45]xx|[A-Za-z_][A-Za-z0-9_]*)\Z")
_HEADER = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")  # a token of RFC 9110, section 5.6.2
_KIND = re.compile(r"^[a-z][a-z0-9_]*\Z")


def parse_tool(fields: Fields, *, digest: str, settings: Mapping[str, str]) -> ToolContract:
    """The contract that a file describes; what is wrong with it is reported.

    Args:
        fields: the file's members.
        digest: SHA-256 of the file.
        settings: the project's settings, which addresses may refer to.
    """
    fields.only(
        "tool",
        "about",
        "effect",
        "http",
        "python",
        "input",
        "output",
        "timeout",
        "settle",
        "idempotency",
        "errors",
        "auth",
        "owner",
        "trigger",
        "quota",
        "filters",
    )
    name = fields.text("tool")
    if name and not NAME.match(name):
        fields.problem("tool", f"'{name}' is not a tool's name.", suggestion="Write it like shop.get_order.")
    effect = fields.one_of("effect", ("none", "write")) == "write"
    schema, output_schema = fields.schema("input"), fields.schema("output")
    contract = ToolContract(
        name=name,
        about=fields.text("about"),
        call=_call(fields, settings),
        input_schema=schema,
        output_schema=output_schema,
        effect=effect,
        timeout_s=fields.seconds("timeout", DEFAULT_TIMEOUT_S),
        settle_s=_settle(fields, effect=effect),
        idempotency=_idempotency(fields, effect=effect),
        errors=_errors(fields, output_schema),
        auth=_auth(fields),
        sinks=sinks(fields, "input"),
        argument_classes=argument_classes(fields, "input"),
        output_labels=output_labels(fields, "output"),
        owner=parse_owner(fields, schema, output_schema),
        trigger=parse_trigger(fields, effect=effect),
        quota=parse_quota(fields, schema, effect=effect),
        filters=parse_outgoing(fields, cast("Mapping[str, object]", schema.get("properties") or {})),
        file=fields.report.file,
        digest=digest,
    )
    _check_arguments(fields, contract)
    return contract


def _call(fields: Fields, settings: Mapping[str, str]) -> HttpCall | PythonCall:
    if ("http" in fields) == ("python" in fields):
        fields.problem(
            None,
            "A tool is either an HTTP request or a Python function.",
            suggestion="Give one of 'http: {method: …, url: …}' and 'python: \"tools/file.py:function\"'.",
            code="missing-key",
        )
        return PythonCall("", "")
    if "python" in fields:
        text = fields.text("python")
        match = _PYTHON.match(text)
        if match is None and text:
            suggestion = "Write it as tools/shop.py:get_order."
            fields.problem("python", f"'{text}' names no function of a file in tools/.", suggestion=suggestion)
        return PythonCall(match["file"], match["function"]) if match else PythonCall("", "")
    http = fields.mapping("http")
    http.only("method", "url", "headers")
    url = http.text("url")
    if url and not re.match(r"^(https?://|\$\{settings\.)", url):
        suggestion = "Start it with https:// or a setting such as ${settings.shop_url}."
        http.problem("url", f"'{url}' is not an address of HTTP.", suggestion=suggestion)
    headers = http.named_texts("headers")
    for header in headers:
        if not _HEADER.match(header):
            http.mapping("headers").problem(header, f"'{header}' is not a header's name.")
    _check_references(http, "url", url, settings)
    for header, value in headers.items():
        _check_references(http.mapping("headers"), header, value, settings)
    return HttpCall(http.one_of("method", METHODS), url, headers)


def _check_references(fields: Fields, name: str, text: str, settings: Mapping[str, str]) -> None:
    for root, setting in find_references(text):
        if root != "settings":
            suggestion = "Secrets go under 'auth'; addresses come from ${settings.name}."
            fields.problem(name, f"'{root}.{setting}' cannot be used here.", suggestion=suggestion)
        elif setting not in settings:
            suggestion = did_you_mean(setting, tuple(settings)) or "Add it under 'settings' in signoff.yaml."
            fields.problem(name, f"There is no setting '{setting}'.", suggestion=suggestion, code="unknown-setting")


def _settle(fields: Fields, *, effect: bool) -> float:
    if "settle" in fields and not effect:
        suggestion = "Leave it out: nothing is looked up of a tool that only reads."
        fields.problem("settle", "'settle' is the lag of a write.", suggestion=suggestion, code="unknown-key")
    return fields.seconds("settle", 0.0)


def _idempotency(fields: Fields, *, effect: bool) -> Idempotency | None:
    if not effect:
        if "idempotency" in fields:
            fields.problem("idempotency", "A tool without effect needs none.", suggestion="Write 'effect: write'?")
        return None
    if "idempotency" not in fields:
        return Idempotency("ask")
    section = fields.mapping("idempotency")
    section.only("header", "argument", "recovery", "lookup")
    recovery = cast("Recovery", section.one_of("recovery", RECOVERIES, "ask"))
    header, argument = section.text("header", ""), section.text("argument", "")
    if header and not _HEADER.match(header):
        section.problem("header", f"'{header}' is not a header's name.")
    if recovery != "ask" and not header and not argument:
        suggestion = "Add 'header: Idempotency-Key', or 'argument: …' for a tool without headers."
        section.problem(None, f"Recovery '{recovery}' needs a place for the key.", suggestion=suggestion)
    lookup = section.mapping("lookup")
    lookup.only("tool", "argument")
    if (recovery == "lookup") != ("lookup" in section):
        suggestion = "Write 'recovery: lookup' and 'lookup: {tool: …, argument: …}', or neither."
        section.problem("recovery", "A lookup needs the tool that looks up.", suggestion=suggestion)
    return Idempotency(
        recovery,
        header or None,
        argument or None,
        lookup.text("tool") if "lookup" in section else None,
        lookup.text("argument", "idempotency_key"),
    )


def _errors(fields: Fields, output_schema: Mapping[str, Any]) -> dict[str, ToolFailure]:
    found: dict[str, ToolFailure] = {}
    for key, failure in fields.mapping("errors").members():
        failure.only("kind", "retryable", "outcome_unknown", "output")
        output = failure.mapping("output").data if "output" in failure else None
        kind = failure.text("kind", None if output is None else "")
        if kind and not _KIND.match(kind):
            failure.problem("kind", f"'{kind}' is not a kind of error.", suggestion="Write it like not_found.")
        if not _FAILURE.match(str(key)):
            suggestion = "Write a status (404), a class of them (5xx) or a Python exception's name."
            failure.problem(None, f"'{key}' is no status or exception.", suggestion=suggestion)
        if output is not None:
            for problem in problems_with(output_schema, output):
                failure.problem("output", f"This breaks the tool's output schema: {problem}", code="schema-mismatch")
        found[str(key)] = ToolFailure(
            kind,
            failure.boolean("retryable", default=False),
            failure.boolean("outcome_unknown", default=False),
            output,
        )
    return found


def _auth(fields: Fields) -> Auth | None:
    if "auth" not in fields:
        return None
    auth = fields.mapping("auth")
    auth.only("header", "value")
    header, value = auth.text("header"), auth.text("value")
    if "http" not in fields:
        fields.problem("auth", "A Python function gets no credential by header.", suggestion="Leave 'auth' out.")
    if value and not any(root in ("env", "secret") for root, _ in find_references(value)):
        suggestion = 'Write "Bearer ${secret.SHOP_TOKEN}" and set SIGNOFF_SECRET_SHOP_TOKEN where the worker runs.'
        auth.problem("value", "A credential may not stand in the project.", suggestion=suggestion, code="secret")
        value = ""
    return Auth(header, value)


def _check_arguments(fields: Fields, contract: ToolContract) -> None:
    properties = cast("Mapping[str, object]", contract.input_schema.get("properties") or {})
    required = cast("list[str]", contract.input_schema.get("required") or [])
    if isinstance(contract.call, HttpCall):
        for argument in _PLACEHOLDER.findall(contract.call.url):
            if argument not in properties:
                suggestion = did_you_mean(argument, tuple(properties)) or "Add it to the properties of 'input'."
                fields.mapping("http").problem("url", f"'{{{argument}}}' is not an argument.", suggestion=suggestion)
            elif argument not in required:
                suggestion = f"Add it to 'required' of 'input': the address is not whole without '{argument}'."
                fields.mapping("http").problem("url", f"'{{{argument}}}' may be missing.", suggestion=suggestion)
    key = contract.idempotency.argument if contract.idempotency else None
    if contract.effect:
        for argument in properties:
            if argument != key and not any(path[0] == argument for path in contract.sinks):
                suggestion = "Add 'x-signoff: {sink: trusted}' (payee, recipient, path, identity), confined or any."
                place = (*fields.path, "input", "properties", argument)
                detail = f"The tool changes the world, so '{argument}' must say what trust it needs."
                fields.report.add(place, detail, suggestion=suggestion, code="sink")
