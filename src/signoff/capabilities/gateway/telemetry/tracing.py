"""OpenTelemetry: a span for each call and one below it for each try, and the metrics of the GenAI conventions.

They are made of the call's record once it is over, with the times that it had: a call does not wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from signoff.capabilities.gateway.asking import Asked, CallRecord, Tried
from signoff.capabilities.gateway.telemetry import conventions as names
from signoff.capabilities.gateway.tracing import step_span_id

NANOSECONDS = 1_000_000_000
MICRO_USD = 1_000_000
OK = "ok"

Value = str | int | float | bool


class CallTelemetry:
    """A recorder of calls that tells OpenTelemetry.

    Args:
        tracers, meters: where spans and measurements go.
    """

    def __init__(self, tracers: TracerProvider, meters: MeterProvider) -> None:
        self._tracer = tracers.get_tracer(names.SCOPE)
        meter = meters.get_meter(names.SCOPE)
        self._tokens = meter.create_histogram(names.TOKEN_USAGE, "{token}", "Tokens read and written.")
        self._duration = meter.create_histogram(names.OPERATION_DURATION, "s", "How long calls took.")
        self._first = meter.create_histogram(names.TIME_TO_FIRST_TOKEN, "s", "How soon the first token came.")
        self._cost = meter.create_counter(names.COST, "USD", "What calls cost.")

    def record(self, record: CallRecord) -> None:
        """Tell of one call."""
        began_ns = int(record.at.timestamp() * NANOSECONDS)
        operation = names.OPERATIONS.get(record.kind, record.kind)
        shared: dict[str, Value] = {names.OPERATION: operation, names.REQUEST_MODEL: _named(record)}
        span = self._tracer.start_span(
            f"{operation} {_named(record)}",
            context=context_of(record.asked),
            kind=SpanKind.INTERNAL,
            attributes={**shared, **_of_call(record)},
            start_time=began_ns,
        )
        within, at_ns = set_span_in_context(span), began_ns
        for tried in record.tried:
            at_ns = self._tell_try(tried, operation, within, at_ns)
        if record.outcome != OK:
            span.set_status(Status(StatusCode.ERROR, record.outcome))
        span.end(began_ns + int(timedelta(seconds=record.latency_s).total_seconds() * NANOSECONDS))
        self._measure(record, shared)

    def _tell_try(self, tried: Tried, operation: str, within: Context, began_ns: int) -> int:
        attributes: dict[str, Value] = {
            names.OPERATION: operation,
            names.PROVIDER: tried.provider,
            names.REQUEST_MODEL: tried.model,
            names.OUTCOME: tried.outcome,
            names.INPUT_TOKENS: tried.usage.input_tokens,
            names.OUTPUT_TOKENS: tried.usage.output_tokens,
            names.COST: tried.usage.cost.micro_usd / MICRO_USD,
        }
        if tried.outcome != OK:
            attributes[names.ERROR_TYPE] = tried.outcome
        if tried.first_token_s is not None:
            attributes[names.TIME_TO_FIRST_TOKEN] = tried.first_token_s
        span = self._tracer.start_span(
            f"{operation} {tried.model}",
            context=within,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=began_ns,
        )
        if tried.outcome != OK:
            span.set_status(Status(StatusCode.ERROR, tried.outcome))
        ended_ns = began_ns + int(tried.latency_s * NANOSECONDS)
        span.end(ended_ns)
        return ended_ns

    def _measure(self, record: CallRecord, shared: Mapping[str, Value]) -> None:
        more = {**shared, names.OUTCOME: record.outcome, names.PROJECT: record.asked.caller.project}
        if record.outcome != OK:
            more[names.ERROR_TYPE] = record.outcome
        self._duration.record(record.latency_s, more)
        if record.first_token_s is not None:
            self._first.record(record.first_token_s, more)
        for tried in record.tried:
            own = {**more, names.PROVIDER: tried.provider, names.REQUEST_MODEL: tried.model}
            for kind, tokens in (("input", tried.usage.input_tokens), ("output", tried.usage.output_tokens)):
                if tokens:
                    self._tokens.record(tokens, {**own, names.TOKEN_TYPE: kind})
            if tried.usage.cost.micro_usd:
                self._cost.add(tried.usage.cost.micro_usd / MICRO_USD, own)


def context_of(asked: Asked) -> Context | None:
    """Below which span a call belongs: the caller's own, or a run's step, whose ids follow from its own.

    All calls of a run are one trace: its id is the run's; that of the step's span the first half of a hash.
    """
    if asked.trace:
        return TraceContextTextMapPropagator().extract({"traceparent": asked.trace})
    caller = asked.caller
    if caller.run_id is None:
        return None
    sampled = TraceFlags(TraceFlags.SAMPLED)
    parent = SpanContext(
        caller.run_id.int, step_span_id(caller.run_id, caller.step), is_remote=True, trace_flags=sampled
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _named(record: CallRecord) -> str:
    return record.model or record.asked.model or record.asked.task


def _of_call(record: CallRecord) -> dict[str, Value]:
    caller = record.asked.caller
    texts = {
        names.CALL: str(record.id),
        names.RUN: "" if caller.run_id is None else str(caller.run_id),
        names.STEP: caller.step,
        names.WORKFLOW: caller.workflow,
        names.PROJECT: caller.project,
        names.ENVIRONMENT: caller.environment,
        names.TEAM: caller.team,
        names.PROMPT: record.asked.prompt,
        names.OUTCOME: record.outcome,
        names.RESPONSE_MODEL: record.model,
        names.FINISH_REASONS: record.finish_reason,
        names.ERROR_TYPE: "" if record.outcome == OK else record.outcome,
    }
    found: dict[str, Value] = {name: text for name, text in texts.items() if text}
    found[names.INPUT_TOKENS] = record.usage.input_tokens
    found[names.OUTPUT_TOKENS] = record.usage.output_tokens
    found[names.COST] = record.usage.cost.micro_usd / MICRO_USD
    found[names.CACHED] = record.cached
    if record.first_token_s is not None:
        found[names.TIME_TO_FIRST_TOKEN] = record.first_token_s
    if "injection" in record.signals:
        found[names.INJECTION] = float(record.signals["injection"]["score"])
    return found
