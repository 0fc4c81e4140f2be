"""Tool contracts: what a tool takes, gives, changes and how it fails. `tools/*.yaml` of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

from signoff.catalog.answer_contracts import FilterUse
from signoff.core.labels import DataClass, Fields, Labels, Trust, join_all
from signoff.core.schemas import Validator
from signoff.core.values import value
from signoff.workflows.model import Contract

Recovery = Literal["resend", "lookup", "ask"]
SinkTrust = Literal["trusted", "confined", "any"]
Trigger = Literal["trusted", "any"]
Path = tuple[str, ...]

DEFAULT_TIMEOUT_S = 30.0
"""How long one call of a tool may take where its contract does not say, in seconds."""

UNVOUCHED = Labels(DataClass.INTERNAL, Trust.UNTRUSTED)
"""Labels of what a contract does not vouch for: it came from outside."""


@value
class HttpCall:
    """A tool that is an HTTP request.

    Attributes:
        method: upper case.
        url: with `{name}` for arguments, which are percent-encoded as one path segment or query value, and
            `${settings.name}` for the project's settings. Arguments that it does not name go into the query of a
            GET, HEAD or DELETE and into a JSON object body otherwise.
        headers: constant headers; values may hold `${settings.name}`.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@value
class PythonCall:
    """A tool that is a Python function of the project: `file` within the project, and the function's name."""

    file: str
    function: str


@value
class Auth:
    """A credential that goes with each HTTP call.

    Attributes:
        header: the header's name.
        value: a template with `${secret.NAME}` (the variable `SIGNOFF_SECRET_NAME`) or `${env.NAME}`, resolved by the
            worker at the time of the call; a release never holds the secret.
    """

    header: str
    value: str


@value
class Idempotency:
    """How a write is kept from happening twice.

    Attributes:
        recovery: after a crash between a call and its answer: send again with the same key, look the outcome up,
            or ask a person.
        header: the HTTP header that carries the key.
        argument: the argument that carries the key, for Python tools and for APIs without a header.
        lookup_tool: for `lookup`: the tool that finds the outcome by key; not found means it never happened.
        lookup_argument: the argument of the lookup tool that gets the key.
    """

    recovery: Recovery
    header: str | None = None
    argument: str | None = None
    lookup_tool: str | None = None
    lookup_argument: str = "idempotency_key"


@value
class ToolFailure:
    """What an HTTP status or a Python exception's name means: the StepError's kind and flags, or an ordinary answer.

    Attributes:
        kind: the StepError's kind; empty where `output` is given.
        retryable: whether the same call may succeed later.
        outcome_unknown: whether the effect may have happened.
        output: what the tool gives instead of failing: not finding a record may be an answer like any other.
    """

    kind: str
    retryable: bool = False
    outcome_unknown: bool = False
    output: Mapping[str, Any] | None = None


@value
class Quota:
    """What untrusted data may spend through a tool, per holder and time. Effects that a person approved are free.

    Attributes:
        per: the argument that names the holder; it takes trusted values only.
        spend: the argument that says how much, a whole number; empty means that each effect counts one.
        most: how much in all within any such time.
        window_s: the time, in seconds.
    """

    per: str
    spend: str
    most: int
    window_s: float


@dataclass(frozen=True)
class ToolContract:
    """Everything that may be known of a tool without calling it.

    Attributes:
        name: e.g. `shop.get_order`.
        about: one sentence for people and for models that choose tools.
        call: an HTTP request or a Python function.
        input_schema: JSON Schema (2020-12) of its arguments, an object.
        output_schema: JSON Schema of its output, an object.
        effect: whether calling it changes the world.
        timeout_s: how long one call may take, in seconds.
        settle_s: the other side's lag, of a write: how long after `timeout_s` a call may still take effect, or not be
            visible to a look-up yet, in seconds.
        idempotency: how a write is kept from happening twice; every write has one.
        errors: by HTTP status (`"404"`), class of statuses (`"5xx"`) or Python exception name.
        auth: the credential of an HTTP call.
        sinks: what trust an argument needs, by path; arguments without one take any.
        argument_classes: the highest data class that an argument may have, by path; internal for others.
        output_labels: labels that the contract declares of fields of the output, by path; others are untrusted.
        owner: the argument, or the field of the output, that names whose the record is that it answers with.
        trigger: whether untrusted data may cause the effect: only `trusted` data, or `any`.
        quota: what untrusted data may spend through it.
        filters: what is looked for in the texts of its arguments before they leave.
        file: its file in the project.
        digest: SHA-256 of that file, hexadecimal: definitions are pinned by hash.
    """

    name: str
    about: str
    call: HttpCall | PythonCall
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    effect: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    settle_s: float = 0.0
    idempotency: Idempotency | None = None
    errors: Mapping[str, ToolFailure] = field(default_factory=dict[str, ToolFailure])
    auth: Auth | None = None
    sinks: Mapping[Path, SinkTrust] = field(default_factory=dict[Path, SinkTrust])
    argument_classes: Mapping[Path, DataClass] = field(default_factory=dict[Path, DataClass])
    output_labels: Mapping[Path, Labels] = field(default_factory=dict[Path, Labels])
    owner: str = ""
    trigger: Trigger = "trusted"
    quota: Quota | None = None
    filters: tuple[FilterUse, ...] = ()
    file: str = ""
    digest: str = ""

    @property
    def contract(self) -> Contract:
        """The part that the language must know."""
        key = None if self.idempotency is None else self.idempotency.argument
        return Contract(self.input_schema, self.output_schema, effect=self.effect, key_argument=key or "")

    @property
    def trusted_arguments(self) -> frozenset[str]:
        """The arguments that take trusted values only, all or a part of them."""
        return frozenset(path[0] for path, sink in self.sinks.items() if sink == "trusted" and path)

    @cached_property
    def arguments(self) -> Validator:
        """Holds arguments to the input schema."""
        return Validator(self.input_schema)

    @cached_property
    def answers(self) -> Validator:
        """Holds answers to the output schema."""
        return Validator(self.output_schema)

    @cached_property
    def answer_labels(self) -> Labels:
        """The labels of an answer: those of the whole output, and where it came from."""
        return self.labels.join(Labels(sources=frozenset({f"tool:{self.name}"})))

    @cached_property
    def answer_fields(self) -> Fields:
        """The same of single fields, where the contract says something of them."""
        source = Labels(sources=frozenset({f"tool:{self.name}"}))
        return {path: labels.join(source) for path, labels in self.output_labels.items() if path}

    @cached_property
    def labels(self) -> Labels:
        """The labels of the whole output: of all that is marked, and `UNVOUCHED` unless nothing else can be in it."""
        marked = join_all(self.output_labels.values())
        return marked if _vouched(self.output_schema, (), self.output_labels) else marked.join(UNVOUCHED)

    def failure(self, status_or_name: str) -> ToolFailure | None:
        """What the contract says of an HTTP status or exception name, the exact one before its class (`5xx`)."""
        exact = self.errors.get(status_or_name)
        if exact is not None or not status_or_name.isdecimal():
            return exact
        return self.errors.get(f"{status_or_name[0]}xx")


def _vouched(schema: Any, path: Path, marked: Mapping[Path, Labels]) -> bool:
    """Whether all that a schema lets stand at a path is marked or constant.

    It looks at objects and lists only as they are written in place: whatever else a schema says (references,
    combinations, patterns of names) counts as unmarked, which is too low a trust and never too high.
    """
    if path in marked:
        return True
    if not isinstance(schema, Mapping):
        return schema is False
    members = cast("Mapping[str, Any]", schema)
    if "const" in members:
        return True
    if members.get("type") == "array":
        return "prefixItems" not in members and _vouched(members.get("items"), path, marked)
    closed = members.get("additionalProperties") is False and "patternProperties" not in members
    properties = cast("Mapping[str, Any]", members.get("properties", {}))
    return (
        members.get("type") == "object"
        and closed
        and all(_vouched(inner, (*path, name), marked) for name, inner in properties.items())
    )
