"""Traces jobs by OpenTelemetry, from who adds them to the code that runs for them.

Whoever adds a job gets a span of its kind (`add`), and the job takes that span's context along in
the option `tm`, as BullMQ does. The attempt's span (`process`) goes on from there. So traces join
with those of BullMQ on Node, in both directions.

The only module that imports OpenTelemetry. `TracedStore` sees what is added, at the border of the
store; `engine/tracing.py` says what a worker asks of `Tracing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from toril.core.codec import decode, encode_text
from toril.core.loggers import logger
from toril.core.reading import read_object
from toril.engine.attempt import Attempt
from toril.engine.current_job import ASKED
from toril.engine.job import Added, Claimed, Finished, NewJob
from toril.engine.schedules.record import slot_of
from toril.engine.tracing import Carried, TraceIds
from toril.engine.wire_options import from_wire
from toril.version import VERSION

SYSTEM = "toril"
"""What `messaging.system` says."""
MAX_CARRIER_BYTES = 16 * 1024
"""A longer context among the options of a job is somebody's nonsense, and not read."""

log = logger("toril.tracing")


class Tracing:
    """Makes the spans of one app. Fulfils `engine.tracing.Tracer`."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Make it, and have log records marked with the span that their code is in.

        Parameters:
            provider: Makes the spans. Default: the one that the program has set, or will.
        """
        self._tracer = trace.get_tracer("toril", VERSION, tracer_provider=provider)
        self._spans: dict[Attempt, Span] = {}
        ASKED.trace = current_ids

    # ---- who adds

    def sending(
        self,
        operation: str,
        queue: str,
        jobs: Sequence[NewJob],
        kind: str = "send",
        *,
        context: Context | None = None,
    ) -> Sending:
        """Begin the span of a call that adds jobs.

        Parameters:
            operation: What the call does, in a word.
            queue: The queue, or the root's of a flow.
            jobs: What is added.
            kind: The word of OpenTelemetry for it.
            context: What it is part of. None: the running code.
        """
        try:
            attributes = _about(operation, kind, queue)
            names = {job.name for job in jobs}
            if len(names) == 1:
                attributes["toril.task"] = names.pop()
            if len(jobs) > 1:
                attributes["messaging.batch.message_count"] = len(jobs)
            span = self._tracer.start_span(
                f"{operation} {queue}",
                context=context,
                kind=SpanKind.PRODUCER,
                attributes=attributes,
            )
            return Sending(span, _carrier(span))
        except Exception:  # of a sampler, span processor or propagator of the program's
            log.exception("jobs of %s are added without a span", queue)
            return Sending(trace.INVALID_SPAN, {})

    def marked(self, job: NewJob) -> NewJob:
        """Return a job that running code adds with its attempt, with a span of its own for it.

        The job is stored when the attempt completes: the span says where it was asked for.
        """
        context = None
        if '"tm"' in job.opts:  # of a child process: the span that its code is in
            context = _extracted(job.opts, get_current())
        with self.sending("add", job.queue, [job], kind="create", context=context) as sending:
            return sending.marked(job)

    # ---- who runs

    def begin(self, attempt: Attempt, worker_id: str) -> None:
        """Begin the span of an attempt, in the attempt's own context. Sets `attempt.trace_ids`."""
        claimed = attempt.claimed
        try:
            context, links = origin(claimed)
            span = self._tracer.start_span(
                f"process {claimed.queue}",
                context=context,
                kind=SpanKind.CONSUMER,
                links=links,
                attributes=_of_attempt(claimed, worker_id),
            )
            attach(trace.set_span_in_context(span, context))
        except Exception:
            log.exception("%s runs without a span", attempt.label)
            return
        ids = ids_of(span)
        if ids is not None:
            attempt.trace_ids = ids
            self._spans[attempt] = span

    @contextmanager
    def within(self, attempt: Attempt) -> Iterator[None]:
        """Make the span of an attempt the current one, in a `with` block."""
        span = self._spans.get(attempt)
        if span is None:  # it has ended, or there is no SDK
            yield
            return
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self, attempt: Attempt, outcome: Finished) -> None:
        """End the span of an attempt."""
        span = self._spans.pop(attempt, None)
        if span is None:
            return
        try:
            if span.is_recording():
                _tell_outcome(span, attempt, outcome)
            span.end()
        except Exception:
            log.exception("the span of %s is lost", attempt.label)

    def carried(self) -> Carried | None:
        """Return what a child process needs to go on with the trace of the running code."""
        try:
            values = _carrier()
        except Exception:
            log.exception("a trace ends at a child process")
            return None
        return Carried(f"{__name__}:{enter.__name__}", values) if values else None


def enter(values: dict[str, str]) -> Callable[[NewJob], NewJob]:
    """In a child process, in the attempt's context: go on with its trace.

    Returns:
        What marks a job that running code wants to be added, on its way to the worker.
    """
    ASKED.trace = current_ids
    try:
        attach(propagate.extract(values, Context()))
    except Exception:
        log.exception("a trace ends at a child process")
    return _leaving_child


def _leaving_child(job: NewJob) -> NewJob:
    try:
        opts = marked_options(job.opts, text_of(_carrier()))
    except Exception:
        log.exception("a trace ends in a child process")
        return job
    return msgspec.structs.replace(job, opts=opts)


def current_ids() -> TraceIds | None:
    """Return the ids of the span that the running code is in; None: in none."""
    return ids_of(trace.get_current_span())


def ids_of(span: Span) -> TraceIds | None:
    """Return the ids of a span; None: nobody has set up OpenTelemetry, so it is none."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return TraceIds(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))


class Sending:
    """A call that adds jobs, while it goes on: a context manager, which ends the span."""

    def __init__(self, span: Span, values: Mapping[str, str]) -> None:
        """Make it.

        Parameters:
            span: The call's.
            values: Its context, as texts by name. None: there is no trace to go on with.
        """
        self._span = span
        self._text = text_of(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                name = _name_of(type(error))
                self._span.set_attribute("error.type", name)
                self._span.set_status(Status(StatusCode.ERROR, f"{name}: {error}"))
            self._span.end()
        except Exception:
            log.exception("a span is lost")

    def marked(self, job: NewJob) -> NewJob:
        """Return a job that takes the context along, unless its options say that not."""
        return msgspec.structs.replace(job, opts=self.marked_options(job.opts))

    def marked_options(self, opts: str) -> str:
        """Return options (JSON text) with the context, unless they say that not."""
        return marked_options(opts, self._text)

    def answered(self, answers: Sequence[Added]) -> None:
        """Say which job it was, if it was one."""
        if len(answers) == 1 and self._span.is_recording():
            self._span.set_attribute("messaging.message.id", answers[0].job_id)
            if answers[0].duplicate:
                self._span.set_attribute("toril.duplicate", True)


# ---- the context on its way with a job


def text_of(values: Mapping[str, str]) -> str | None:
    """Return the option `tm` of a context: JSON in JSON, as BullMQ has it. None: there is none."""
    return encode_text(encode_text(values)) if values else None


def marked_options(opts: str, text: str | None) -> str:
    """Return options (JSON text) with a context (`text_of`) in place of what they carry."""
    if opts.startswith('{"') and '"omc"' not in opts and '"tm"' not in opts:
        # Not read and written anew: by far the commonest, and each new job comes by.
        return opts if text is None else f'{{"tm":{text},{opts[1:]}'
    wire = {word: value for word, value in read_object(opts).items() if word != "tm"}
    if text is not None and wire.get("omc") is not True:
        wire = {"tm": decode(text), **wire}
    return encode_text(wire)


def origin(claimed: Claimed) -> tuple[Context, list[Link]]:
    """Return the context that a job's attempt goes on with, and the spans that it only points to.

    A job of a schedule begins its own trace: the one in which the schedule was made would never
    end.
    """
    if '"tm"' not in claimed.opts or not from_wire(claimed.opts).traced:
        return Context(), []
    context = _extracted(claimed.opts, Context())
    if slot_of(claimed.id) is None:
        return context, []
    there = trace.get_current_span(context).get_span_context()
    return Context(), [Link(there)] if there.is_valid else []


def _extracted(opts: str, context: Context) -> Context:
    """Return a context with what a job's options carry. Anything may stand there."""
    text = read_object(opts).get("tm")
    if not isinstance(text, str) or len(text) > MAX_CARRIER_BYTES:
        return context
    found = read_object(text)
    values = {name: value for name, value in found.items() if isinstance(value, str)}
    return propagate.extract(values, context)


def _carrier(span: Span | None = None) -> dict[str, str]:
    """Return the context of a span, or of the running code, as texts by name."""
    values: dict[str, str] = {}
    propagate.inject(values, None if span is None else trace.set_span_in_context(span))
    return values


# ---- what spans say


def _about(operation: str, kind: str, queue: str) -> dict[str, AttributeValue]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
    }


def _of_attempt(claimed: Claimed, worker_id: str) -> Mapping[str, AttributeValue]:
    attributes = _about("process", "process", claimed.queue)
    attributes["messaging.message.id"] = claimed.id
    attributes["messaging.message.body.size"] = len(claimed.data.encode())
    attributes["messaging.client.id"] = worker_id
    attributes["toril.task"] = claimed.name
    attributes["toril.attempt"] = claimed.attempts_made + 1
    if claimed.waited_ms >= 0:
        attributes["toril.waited_s"] = claimed.waited_ms / 1000
    return attributes


def _tell_outcome(span: Span, attempt: Attempt, outcome: Finished) -> None:
    span.set_attribute("toril.outcome", outcome.kind)
    if outcome.kind == "retried":
        span.set_attribute("toril.retry_in_s", outcome.wait_ms / 1000)
    if outcome.kind not in ("failed", "retried") or outcome.unwanted:
        if outcome.reason is not None:
            span.set_attribute("toril.reason", outcome.reason)
        return
    # Not `record_exception`: these texts are what the store gets, short and without sealed values.
    kind = "failed" if attempt.error is None else _name_of(type(attempt.error))
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, outcome.reason))
    event: dict[str, Any] = {"exception.type": kind, "exception.message": outcome.reason or ""}
    if outcome.traceback is not None:
        event["exception.stacktrace"] = outcome.traceback
    span.add_event("exception", event)


def _name_of(kind: type[BaseException]) -> str:
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else (f"{kind.__module__}.{kind.__qualname__}")
    )
