"""Spans for a collector of traces, by OpenTelemetry; imported only if traces are wanted.

A call's spans are made when it has ended, from the times that its course holds: while it
runs, tracing costs it nothing. They are batched and sent by a thread of the SDK. A span
says which route, provider and status, and how long each phase took; never a path, a
query, a record's id, a token or the unique id.

A client's `traceparent` makes its span the parent of ours. It is forwarded as it came:
towards the API we are not a participant, and its spans are the client's children.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from httpproxy.telemetry.course import SEND, Course, Parent
from httpproxy.telemetry.tally import PHASES, Tally
from httpproxy.telemetry.watch import End

EXPORT_SECONDS: Final = 5.0  # for one batch, with its repetitions
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Counted(SpanExporter):
    """Sends spans by another exporter, and counts what became of them."""

    def __init__(self, exporter: SpanExporter, tally: Tally) -> None:
        self._exporter, self._tally = exporter, tally

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        sent = result is SpanExportResult.SUCCESS
        self._tally.spans["sent" if sent else "lost"] += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class Spans:
    """Makes spans and sends them to `endpoint`. `close` sends what is left; it blocks."""

    def __init__(self, endpoint: str, version: str, tally: Tally) -> None:
        resource = Resource.create({"service.name": "httpproxy", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(_Counted(exporter, tally)))
        self._tracer = self._provider.get_tracer("httpproxy", version)

    def close(self) -> None:
        self._provider.shutdown()

    def call(self, course: Course, ended: float, end: End) -> None:
        """The span of a call, and one for each phase after its admission."""
        clock = _Clock()
        method = end.method if end.method in _METHODS else "_OTHER"
        route = course.route
        span = self._tracer.start_span(
            f"{method} {route.path}" if route else method,
            context=_within(course.parent()),
            kind=SpanKind.SERVER,
            start_time=clock.at(course.began),
            attributes={
                "http.request.method": method,
                "http.response.status_code": end.status,
                "httpproxy.request_id": course.request_id,
                "httpproxy.problem" if end.ours else "httpproxy.receipt": end.result,
                **_whose(course),
                **({"http.route": route.path, "httpproxy.route": route.name} if route else {}),
            },
        )
        if end.status >= 500:
            span.set_attribute("error.type", end.result if end.ours else str(end.status))
            span.set_status(Status(StatusCode.ERROR))
        if span.is_recording():
            self._phases(course, ended, end, span, clock)
        span.end(clock.at(ended))

    def _phases(
        self, course: Course, ended: float, end: End, whole: Span, clock: _Clock
    ) -> None:
        inside = set_span_in_context(whole)
        ends = [at for _, at in course.steps[1:]] + [ended]
        for (phase, began), until in zip(course.steps, ends, strict=True):
            sends = phase == SEND
            span = self._tracer.start_span(
                PHASES[phase],
                context=inside,
                kind=SpanKind.CLIENT if sends else SpanKind.INTERNAL,
                start_time=clock.at(began),
                attributes=_whose(course),
            )
            if sends and not end.ours:
                span.set_attribute("http.response.status_code", end.status)
            if end.ours and until is ends[-1]:
                span.set_status(Status(StatusCode.ERROR))
            span.end(clock.at(until))

    def job(self, course: Course, ended: float, outcome: str) -> None:
        """The span of a job of the sync; it has no parent."""
        clock = _Clock()
        span = self._tracer.start_span(
            f"sync {course.job}",
            context=Context(),
            start_time=clock.at(course.began),
            attributes={"httpproxy.outcome": outcome, **_whose(course)},
        )
        if outcome == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(clock.at(ended))


class _Clock:
    """Moments of `monotonic` as nanoseconds since 1970."""

    def __init__(self) -> None:
        self._ahead = time.time_ns() - time.monotonic_ns()

    def at(self, moment: float) -> int:
        return int(moment * 1e9) + self._ahead


def _whose(course: Course) -> dict[str, str]:
    said = {"httpproxy.provider": course.provider, "httpproxy.sync_id": course.sync_id}
    return {name: value for name, value in said.items() if value}


def _within(parent: Parent | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    span = SpanContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags
    )
    return set_span_in_context(NonRecordingSpan(span), Context())
