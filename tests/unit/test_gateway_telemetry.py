"""Spans and measurements of calls, as an exporter in memory gets them; counts as Prometheus reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.parser import text_string_to_metric_families
from support.chat_cases import ASKED, CALLER, HELLO, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.capabilities.gateway import Gateway, ProviderError
from signoff.capabilities.gateway.asking import ChatError, Recorders
from signoff.capabilities.gateway.telemetry.metrics import MAX_MODELS, CallMetrics
from signoff.capabilities.gateway.telemetry.tracing import CallTelemetry
from signoff.catalog.models import ModelsConfig

RUN = UUID("01981234-5678-7abc-8def-0123456789ab")


class Collected:
    """What one gateway told."""

    def __init__(self, **chats: ScriptedChat) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.metrics = CallMetrics()
        told = CallTelemetry(tracers, MeterProvider([self.reader]))
        made = models(gateway={"recorder": Recorders([told, self.metrics])}, **chats)
        self.gateway: Gateway = made[0]
        self.config: ModelsConfig = made[1]

    def measured(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: metric.data.data_points for metric in found}

    def call(self) -> ReadableSpan:
        return next(
            span for span in self.spans.get_finished_spans() if span.attributes and "signoff.call.id" in span.attributes
        )


async def test_a_call_is_a_span_and_each_try_one_below_it():
    seen = Collected(one=ScriptedChat([ProviderError("setup", "No key.")]), two=ScriptedChat(["Two."]))
    result = await seen.gateway.chat(HELLO, ASKED, seen.config, decide=permit_all)
    call = seen.call()
    tries = [span for span in seen.spans.get_finished_spans() if span is not call]
    assert (call.name, call.status.status_code) == ("chat two", StatusCode.UNSET)
    assert call.attributes is not None
    assert call.attributes["signoff.call.id"] == str(result.record.id)
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.response.model"] == "two"
    assert call.attributes["gen_ai.usage.input_tokens"] == 10
    assert [span.name for span in tries] == ["chat one", "chat two"]
    assert [(span.attributes or {}).get("error.type") for span in tries] == ["setup", None]
    assert [(span.attributes or {})["gen_ai.provider.name"] for span in tries] == ["scripted", "scripted"]
    for span in tries:
        assert span.parent is not None
        assert call.context is not None
        assert span.parent.span_id == call.context.span_id


async def test_a_failed_call_is_a_failed_span():
    seen = Collected(one=ScriptedChat([ProviderError("rejected", "Wrong.")]))
    with pytest.raises(ChatError):
        await seen.gateway.chat(HELLO, ASKED, seen.config, decide=permit_all)
    assert seen.call().status.status_code == StatusCode.ERROR
    assert (seen.call().attributes or {})["error.type"] == "rejected"


async def test_a_call_belongs_to_its_callers_trace_or_to_its_runs():
    seen = Collected(one=ScriptedChat(["One."]))
    sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await seen.gateway.chat(HELLO, replace(ASKED, trace=sent), seen.config, decide=permit_all)
    call = seen.call()
    assert call.context is not None
    assert call.parent is not None
    assert f"{call.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{call.parent.span_id:016x}" == "00f067aa0ba902b7"

    parents: set[tuple[int, int]] = set()
    for step in ("draft", "draft", "send"):
        seen.spans.clear()
        asked = replace(ASKED, caller=replace(CALLER, run_id=RUN, step=step))
        await seen.gateway.chat(HELLO, asked, seen.config, decide=permit_all)
        call = seen.call()
        assert call.parent is not None
        assert call.parent.trace_id == RUN.int
        parents.add((call.parent.trace_id, call.parent.span_id))
    assert len(parents) == 2, "calls of one step have one parent"


@pytest.mark.parametrize("wrong", ["", "no", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x" * 100])
async def test_a_trace_that_is_none_is_passed_over(wrong: str):
    seen = Collected(one=ScriptedChat(["One."]))
    await seen.gateway.chat(HELLO, replace(ASKED, trace=wrong), seen.config, decide=permit_all)
    assert seen.call().parent is None


async def test_tokens_durations_and_first_tokens_are_measured():
    seen = Collected(one=ScriptedChat(["One two."]))
    stream = await seen.gateway.stream(HELLO, ASKED, seen.config, decide=permit_all)
    _ = [event async for event in stream]
    measured = seen.measured()
    tokens = {dict(point.attributes)["gen_ai.token.type"]: point.sum for point in measured["gen_ai.client.token.usage"]}
    assert tokens == {"input": 10, "output": 5}
    assert measured["gen_ai.client.operation.duration"][0].count == 1
    assert measured["gen_ai.server.time_to_first_token"][0].count == 1


def read(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.values()))] = sample.value
    return found


async def test_prometheus_reads_counts_of_projects_that_it_may_see():
    seen = Collected(one=ScriptedChat(["One."]))
    for project in ("shop", "shop", "bank"):
        asked = replace(ASKED, caller=replace(CALLER, project=project))
        await seen.gateway.chat(HELLO, asked, seen.config, decide=permit_all)
    seen.metrics.dropped = lambda: 3
    counts = read(seen.metrics.text(CALLER.org_id, {"shop"}))
    assert counts["signoff_model_calls_total", tuple(sorted(("shop", "dev", "one", "chat", "ok", "false")))] == 2
    assert counts["signoff_model_tokens_total", tuple(sorted(("shop", "dev", "one", "input")))] == 20
    assert counts["signoff_call_records_dropped", ()] == 3
    assert not any("bank" in labels for _, labels in counts)
    other = read(seen.metrics.text(UUID(int=2), {"shop", "bank"}))
    assert set(other) == {("signoff_call_records_dropped", ())}, "another organisation's calls are nobody's business"


async def test_so_many_models_are_told_apart_and_no_more():
    seen = Collected(one=ScriptedChat(["One."]))
    record = (await seen.gateway.chat(HELLO, ASKED, seen.config, decide=permit_all)).record
    for number in range(MAX_MODELS + 10):
        seen.metrics.record(replace(record, model=f"m{number}", tried=()))
    counts = read(seen.metrics.text(CALLER.org_id, {"shop"}))
    models_ = {labels for name, labels in counts if name == "signoff_model_calls_total"}
    assert len(models_) == MAX_MODELS + 1
