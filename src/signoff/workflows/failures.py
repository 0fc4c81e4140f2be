"""Compiles what a document says of a step's failures: when it is tried again, and what follows when it has failed."""

from __future__ import annotations

import re

from signoff.core.values import value
from signoff.workflows.arguments import check_fields
from signoff.workflows.documents import Node
from signoff.workflows.header import compile_duration
from signoff.workflows.model import ErrorMode, Expression, Retry, Step
from signoff.workflows.report import Report
from signoff.workflows.scopes import StepScope, roots_of, step_nodes
from signoff.workflows.shapes import STRING, Shape, object_shape
from signoff.workflows.values import ValueCompiler, shape_of

MAX_RETRIES = 100
"""Tries after the first."""

MAX_BACKOFF = 100.0
"""What a delay may be multiplied with."""

MAX_NAMED_KINDS = 20
"""Kinds of errors that `on` or `never` may name."""

ERROR = "error"
"""What the steps of an `on_error` read the failure by that they stand in for."""

_FAILURE = object_shape({"kind": STRING, "detail": STRING})
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RETRY_KEYS = ("times", "delay", "backoff", "max_delay", "jitter", "on", "never")


def compile_retry(report: Report, node: Node | None) -> Retry:
    """How often, how patiently and after what a step is tried again; not at all where nothing is said."""
    if node is None or not report.mapping(node, "'retry'"):
        return Retry()
    report.unknown_keys(node, _RETRY_KEYS, "'retry'")
    entries, default = node.entries, Retry()
    times = entries["times"].value if "times" in entries else None
    if "times" not in entries:
        report.add(node, "'times' is missing: how often is it tried again?", code="missing-key")
    elif not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= MAX_RETRIES:
        report.add(entries["times"], f"'times' is a whole number from 0 to {MAX_RETRIES}.", code="value")
    delay, longest = (
        compile_duration(report, entries[key]) if key in entries else None for key in ("delay", "max_delay")
    )
    on, never = (_kinds(report, entries[key], key) if key in entries else frozenset[str]() for key in ("on", "never"))
    for kind in sorted(on & never):
        detail = f"'{kind}' stands in 'on' and in 'never'."
        report.add(entries["never"], detail, suggestion="Take it out of one of them.", code="value")
    return Retry(
        times=times if isinstance(times, int) else default.times,
        delay_s=default.delay_s if delay is None else delay,
        backoff=_number(report, node, "backoff", default.backoff, (1, MAX_BACKOFF)),
        max_delay_s=default.max_delay_s if longest is None else longest,
        jitter=_number(report, node, "jitter", default.jitter, (0, 1)),
        on=on,
        never=never,
    )


def _number(report: Report, node: Node, key: str, default: float, bounds: tuple[float, float]) -> float:
    found = node.entries.get(key)
    if found is None:
        return default
    value, (least, most) = found.value, bounds
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        report.add(found, f"'{key}' is a number from {least:g} to {most:g}.", code="value")
        return default
    return float(value)


def _kinds(report: Report, node: Node, key: str) -> frozenset[str]:
    found = report.texts(node, f"'{key}'")
    if len(found) > MAX_NAMED_KINDS:
        report.add(node, f"'{key}' names at most {MAX_NAMED_KINDS} kinds.", code="limit")
    for kind, item in found:
        if not _KIND.fullmatch(kind):
            hint = "Write a kind as a failed step shows it, such as timeout, http_503, or http_5xx for all of them."
            report.add(item, f"'{kind[:80]}' cannot be a kind of error.", suggestion=hint, code="name")
    return frozenset(kind for kind, _ in found)


@value
class OnError:
    """What follows when a step has failed.

    Attributes:
        mode: see `Step.error_mode`.
        value: the output to use instead.
        steps: the steps to run instead.
        give: the output then.
        names: everything that it names outside of itself.
        reads_error: its steps see `error`; not where something else has that name.
    """

    mode: ErrorMode = "fail"
    value: Expression | None = None
    steps: tuple[Step, ...] = ()
    give: Expression | None = None
    names: frozenset[str] = frozenset()
    reads_error: bool = False


def compile_on_error(scope: StepScope, node: Node | None, expected: Shape | None) -> OnError:
    """One of `continue`, `{value: …}`, `{steps: …, give: …}`, or a mapping that is the output itself.

    Args:
        scope: where the step stands.
        node: the value of `on_error`.
        expected: what the step gives when it is done, if that is known: the output meets it (rule 9).
    """
    report = scope.shared.report
    if node is None:
        return OnError()
    if node.kind != "mapping":
        if node.value not in ("continue", "fail"):
            hint = "Write 'continue', 'fail', {value: …}, {steps: …, give: …}, or the output to use instead."
            report.add(node, "'on_error' is a mapping, 'continue' or 'fail'.", suggestion=hint, code="type")
        return OnError("fail" if node.value == "fail" else "continue")
    if _is_form(node, "steps", ("steps", "give"), expected):
        return _steps(scope, node, expected)
    given = node.entries["value"] if _is_form(node, "value", ("value",), expected) else node
    value = _output(scope.values, report, given, "'on_error'", expected)
    return OnError("value", value, names=frozenset(roots_of(value)))


def _is_form(node: Node, key: str, keys: tuple[str, ...], expected: Shape | None) -> bool:
    """Whether a mapping is a form of `on_error` and not an output, which may have a field of that name itself."""
    if key not in node.entries or node.entries[key].kind != "mapping" or not set(node.entries) <= set(keys):
        return False
    return expected is None or key not in expected.names


def _steps(scope: StepScope, node: Node, expected: Shape | None) -> OnError:
    shared, holder = scope.shared, node.entries["steps"]
    nodes = step_nodes(shared, holder, "'steps'", scope.visible, scope.depth + 1)
    reads_error = ERROR not in nodes and scope.variables.get(ERROR, _failure) is _failure
    given = {ERROR: _failure} if reads_error else {}
    inner = scope.inside(holder, nodes, given)
    steps = inner.compile_all()
    written = node.entries.get("give")
    if written is None:
        if expected is not None and expected.required:
            listed = ", ".join(sorted(expected.required))
            detail = f"'give' is missing: what the step gives instead has {listed} (rule 9)."
            shared.report.add(node, detail, code="missing-key")
        return OnError("steps", steps=steps, names=inner.foreign(), reads_error=reads_error)
    give = _output(inner.values, shared.report, written, "'give'", expected)
    names = inner.foreign() | (roots_of(give) - nodes.keys() - given.keys())
    return OnError("steps", steps=steps, give=give, names=names, reads_error=reads_error)


def _failure() -> Shape:
    return _FAILURE


def _output(values: ValueCompiler, report: Report, node: Node, what: str, expected: Shape | None) -> Expression:
    """A template of an output: an object, with the fields that are expected of it."""
    template = values.template(node)
    if not shape_of(template).may_be(("object",)):
        report.add(node, f"{what} is a mapping of names to values.", code="type")
    elif expected is not None:
        check_fields(report, node, shape_of(template), expected, "the step's output (rule 9)")
    return template
