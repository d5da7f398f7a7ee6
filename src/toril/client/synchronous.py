"""The client for plain code.

Made from the routes of the server by `make client`: change those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from msgspec import UNSET, UnsetType

from toril.client.failures import refused, unreachable
from toril.client.messages import (
    PATH,
    TIMEOUT_S,
    address,
    body_of,
    headers_of,
    http_library,
    read,
    target,
)
from toril.client.streams import LiveMessage, Reader
from toril.engine.bulk.info import OperationInfo
from toril.engine.explanation import Explanation
from toril.engine.flow_stuck import StuckFlow
from toril.engine.info import AttemptInfo, QueueInfo
from toril.engine.letter_info import LetterInfo
from toril.engine.scaling import Scaling
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.search.found import SearchPlan
from toril.engine.states import State
from toril.rest.answers import (
    AddedJob,
    AddedJobs,
    AlertFacts,
    AuditEntries,
    Concerns,
    Done,
    ErrorGroups,
    Event,
    FlowFacts,
    FlowLine,
    FoundJobs,
    Health,
    HistoryFacts,
    JobFacts,
    JobLine,
    KeyLine,
    LetterLine,
    LetterQueue,
    LogPage,
    Me,
    MuteLine,
    NewKey,
    OperationPlan,
    Overview,
    Page,
    QueueFacts,
    Redriven,
    Restored,
    SessionLine,
    StoreCheck,
    SystemFacts,
    UserLine,
    Value,
    WorkerFacts,
)
from toril.rest.bodies import DeduplicationBody, KeepBody, NewJobBody


class Client:
    """A client of a server. `with` closes it.

    Each method is one request. All raise `ApiError` if the server refuses or fails, with its
    sentence; and `ServerUnreachableError` if it does not answer.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        path: str = PATH,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Make a client. Nothing is asked yet.

        Parameters:
            url: Where the server is, or what it is mounted in: `http://localhost:3030`.
            key: Who asks. None: a server on this machine may need none.
            path: Where the interface is below `url`.
            timeout_s: How long a request may take.

        Raises:
            MissingExtraError: The extra `client` is not installed.
        """
        self._library = http_library()
        self._url = address(url, path)
        self._http = self._library.Client(headers=headers_of(key), timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(
        self,
        kind: Any,
        method: str,
        *parts: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return its answer as a type."""
        content = None if body is None else body_of(body)
        sent = dict(headers or {})
        if body is not None:
            sent["content-type"] = "application/json"
        try:
            answer = self._http.request(
                method, target(self._url, parts, query or {}), content=content, headers=sent
            )
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None
        return read(answer.status_code, answer.content, answer.headers.get("retry-after"), kind)

    def export_jobs(self, *, q: str = "") -> Iterator[bytes]:
        """Give jobs whole, all that a search finds: one JSON object a line.

        Parameters:
            q: What to look for.
        """
        url = target(self._url, ("jobs", "export"), {"q": q})
        try:
            with self._http.stream("GET", url, timeout=60.0) as answer:
                if answer.status_code != 200:
                    content = answer.read()
                    raise refused(answer.status_code, content, answer.headers.get("retry-after"))
                for line in answer.iter_lines():
                    yield line.encode()
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None

    def stream(
        self,
        *,
        overview: bool = False,
        workers: bool = False,
        store: bool = False,
        queues: Sequence[str] = (),
        after: str | None = None,
    ) -> Iterator[LiveMessage]:
        """Follow what happens, until the loop is left or the server ends the stream.

        Parameters:
            overview: Messages `overview`: the queues whose figures have changed.
            workers: Messages `workers`: all workers, when something of them changes.
            store: Messages `store`: which store is live; `switched`: each switch to another.
            queues: Messages `event`: the events of these queues.
            after: `LiveMessage.id` of the last message seen: events since then come first.
        """
        topics = ["overview"] * overview + ["workers"] * workers + ["store"] * store
        topics += [f"queue:{name}" for name in queues]
        url = target(self._url, ("stream",), {"topics": ",".join(topics) or "overview"})
        headers = {} if after is None else {"last-event-id": after}
        reader = Reader()
        try:
            # Silence is no failure: a comment comes every 15 s.
            with self._http.stream("GET", url, headers=headers, timeout=60.0) as answer:
                if answer.status_code != 200:
                    content = answer.read()
                    wait_s = answer.headers.get("retry-after")
                    raise refused(answer.status_code, content, wait_s)
                for line in answer.iter_lines():
                    message = reader.take(line)
                    if message is not None:
                        yield message
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None

    def get_health(self) -> Health:
        """Say that the server lives, and which store is live. No server of a store is asked."""
        found: Health = self._ask(Health, "GET", "health")
        return found

    def get_readiness(self) -> Health:
        """Say that the store answers; 503 if it does not within 2 s."""
        found: Health = self._ask(Health, "GET", "ready")
        return found

    def get_me(self) -> Me:
        """Say who asks, and what they may."""
        found: Me = self._ask(Me, "GET", "me")
        return found

    def get_overview(self) -> Overview:
        """Show the store at one look: totals, what needs a person, queues and workers."""
        found: Overview = self._ask(Overview, "GET", "overview")
        return found

    def get_attention(self) -> Concerns:
        """List what needs a person, the worst first."""
        found: Concerns = self._ask(Concerns, "GET", "attention")
        return found

    def get_metrics(self, *, queue: Sequence[str] = ()) -> str:
        """Return the figures of all queues that the caller may see, as text for Prometheus.

        A key for some queues only is told nothing of workers that serve others as well, nor what
        the application itself measures.

        Parameters:
            queue: Only of this queue; more than once: of several. Default: all that the caller
                may see.
        """
        found: str = self._ask(str, "GET", "metrics", query={"queue": queue})
        return found

    def list_queues(
        self,
        *,
        prefix: str | None = None,
        sort: Literal["name", "-waiting", "-failed", "-active", "-oldest"] = "name",
        limit: int = 1000,
        after: str | None = None,
    ) -> Page[QueueInfo]:
        """List queues with their figures.

        Parameters:
            prefix: Only those whose name begins so.
            sort: `-oldest`: those first whose next job waits longest.
            after: `next` of the page before.
        """
        found: Page[QueueInfo] = self._ask(
            Page[QueueInfo],
            "GET",
            "queues",
            query={"prefix": prefix, "sort": sort, "limit": limit, "after": after},
        )
        return found

    def search_queues(self, *, reason: str | None = None) -> Page[QueueInfo]:
        """Look for queues that only BullMQ has used.

        On Redis all keys of the server are looked through, in small steps. What is found is on the
        list from then on. A file lists all of its queues anyway.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Page[QueueInfo] = self._ask(
            Page[QueueInfo], "POST", "queues", "search", body={"reason": reason}
        )
        return found

    def get_queue(self, queue: str) -> QueueFacts:
        """Show one queue: its figures, what waits by priority, whether a worker serves it."""
        found: QueueFacts = self._ask(QueueFacts, "GET", "queues", queue)
        return found

    def change_queue(
        self,
        queue: str,
        *,
        reason: str | None = None,
        concurrency: int | UnsetType | None = UNSET,
        rate_limit: int | UnsetType | None = UNSET,
        rate_window_s: float = 1.0,
        hold_s: float | UnsetType = UNSET,
        events: Literal["all", "outcomes", "none"] | UnsetType = UNSET,
        history: bool | UnsetType = UNSET,
        dead_letter: str | UnsetType | None = UNSET,
        dead_letter_keep_s: float | None = None,
    ) -> QueueInfo:
        """Set the limits of a queue: rate, concurrency, a hold, events, history, dead-letter queue.

        Parameters:
            reason: Why, for the log of changes.
            concurrency: Jobs at once, over all workers.
            rate_limit: Starts in each window, over all workers.
            rate_window_s: With `rate_limit`: how long a window is.
            hold_s: Let nothing start for so long. 0 ends it.
            events: Which events it writes.
            history: Whether what it does is written to its history. What is there stays.
            dead_letter: Where its failures leave letters. null: nowhere.
            dead_letter_keep_s: With `dead_letter`: letters that are older are removed.
        """
        found: QueueInfo = self._ask(
            QueueInfo,
            "PATCH",
            "queues",
            queue,
            body={
                "reason": reason,
                "concurrency": concurrency,
                "rate_limit": rate_limit,
                "rate_window_s": rate_window_s,
                "hold_s": hold_s,
                "events": events,
                "history": history,
                "dead_letter": dead_letter,
                "dead_letter_keep_s": dead_letter_keep_s,
            },
        )
        return found

    def pause_queue(self, queue: str, *, reason: str | None = None) -> QueueInfo:
        """Let no job of a queue start, on any worker; jobs that run go on.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: QueueInfo = self._ask(
            QueueInfo, "POST", "queues", queue, "pause", body={"reason": reason}
        )
        return found

    def resume_queue(self, queue: str, *, reason: str | None = None) -> QueueInfo:
        """Let the jobs of a paused queue start again.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: QueueInfo = self._ask(
            QueueInfo, "POST", "queues", queue, "resume", body={"reason": reason}
        )
        return found

    def drain_queue(self, queue: str, *, reason: str | None = None, delayed: bool = False) -> Done:
        """Remove all jobs that wait; those that run or have finished stay.

        Parameters:
            reason: Why, for the log of changes.
            delayed: Jobs that are due later, too.
        """
        found: Done = self._ask(
            Done, "POST", "queues", queue, "drain", body={"reason": reason, "delayed": delayed}
        )
        return found

    def clean_queue(
        self,
        queue: str,
        *,
        reason: str | None = None,
        state: Literal["wait", "prioritized", "delayed", "completed", "failed"] = "completed",
        older_than_s: float = 0.0,
        limit: int | None = None,
    ) -> Done:
        """Remove jobs of one state, oldest first.

        Parameters:
            reason: Why, for the log of changes.
            older_than_s: Only those that finished (or were added) longer ago.
            limit: At most so many. None: all.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "queues",
            queue,
            "clean",
            body={"reason": reason, "state": state, "older_than_s": older_than_s, "limit": limit},
        )
        return found

    def retry_jobs(
        self,
        queue: str,
        *,
        reason: str | None = None,
        state: Literal["failed", "completed"] = "failed",
        limit: int | None = None,
        reset_attempts: bool = True,
    ) -> Done:
        """Put finished jobs back in line, oldest first. Those that fail again meanwhile stay.

        Parameters:
            reason: Why, for the log of changes.
            limit: At most so many. None: all.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "queues",
            queue,
            "retry",
            body={
                "reason": reason,
                "state": state,
                "limit": limit,
                "reset_attempts": reset_attempts,
            },
        )
        return found

    def promote_jobs(
        self, queue: str, *, reason: str | None = None, limit: int | None = None
    ) -> Done:
        """Make delayed jobs ready now, soonest first.

        Parameters:
            reason: Why, for the log of changes.
            limit: At most so many. None: all.
        """
        found: Done = self._ask(
            Done, "POST", "queues", queue, "promote", body={"reason": reason, "limit": limit}
        )
        return found

    def obliterate_queue(
        self, queue: str, confirm: str, *, reason: str | None = None, force: bool = False
    ) -> Done:
        """Remove a paused queue with all that it holds: jobs, events, limits, counters.

        Parameters:
            reason: Why, for the log of changes.
            confirm: The name of the queue once more.
            force: Also while jobs of it run.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "queues",
            queue,
            "obliterate",
            body={"reason": reason, "confirm": confirm, "force": force},
        )
        return found

    def free_deduplication_id(self, queue: str, deduplication_id: str) -> Done:
        """Let the next job have a de-duplication id that a job holds."""
        found: Done = self._ask(Done, "DELETE", "queues", queue, "deduplication", deduplication_id)
        return found

    def get_history(
        self,
        queue: str,
        *,
        task: str | None = None,
        since: datetime | None = None,
        since_s: float | None = None,
        until: datetime | None = None,
        step_s: float | None = None,
        buckets: bool = False,
    ) -> HistoryFacts:
        """Show what a queue did: outcomes, waits and runs, as a series of points.

        Minutes are kept for 7 days, hours for 90 days, days (UTC) for two years.

        Parameters:
            task: Only this task. Default: all of them.
            since: From when on.
            since_s: In place of `since`: from how long ago. Default: 6 hours before the end.
            until: Default: now.
            step_s: How long a point is: whole minutes. Default: one that gives at most some
                200 points.
            buckets: Give the buckets of each histogram, for other percentiles than those that
                are given.
        """
        found: HistoryFacts = self._ask(
            HistoryFacts,
            "GET",
            "queues",
            queue,
            "history",
            query={
                "task": task,
                "since": since,
                "since_s": since_s,
                "until": until,
                "step_s": step_s,
                "buckets": buckets,
            },
        )
        return found

    def get_scaling(self, *, queue: Sequence[str] = (), concurrency: int = 10) -> Scaling:
        """Say how much there is to do, as one object of numbers, for KEDA's `metrics-api` scaler.

        Of queues that the caller may see. Of a worker that serves others as well, a key for some
        queues only is told nothing.

        Parameters:
            queue: Only of this queue; more than once: of several. Default: all that the caller
                may see.
            concurrency: Jobs that one worker runs at once, if none is alive to tell.
        """
        found: Scaling = self._ask(
            Scaling, "GET", "scaling", query={"queue": queue, "concurrency": concurrency}
        )
        return found

    def list_jobs(
        self,
        queue: str,
        *,
        state: Sequence[State] = (),
        limit: int = 50,
        after: str | None = None,
        newest_first: bool = False,
    ) -> Page[JobLine]:
        """List the jobs of a queue, with previews in place of payloads.

        Without a state: all states, the most urgent to look at first.

        Parameters:
            state: Of one state; more than once: of several, one after the other. Default: all.
            after: `next` of the page before.
            newest_first: Each state from its end. Default: in the order in which they will
                run, or have ended.
        """
        found: Page[JobLine] = self._ask(
            Page[JobLine],
            "GET",
            "queues",
            queue,
            "jobs",
            query={"state": state, "limit": limit, "after": after, "newest_first": newest_first},
        )
        return found

    def add_job(
        self,
        queue: str,
        name: str,
        data: Any = UNSET,
        *,
        job_id: str | None = None,
        delay_s: float = 0.0,
        run_at: datetime | None = None,
        priority: int = 0,
        lifo: bool = False,
        max_attempts: int | None = None,
        backoff: Literal["fixed", "exponential"] | None = None,
        backoff_s: float | None = None,
        jitter_ratio: float | None = None,
        keep_completed: KeepBody | None = None,
        keep_failed: KeepBody | None = None,
        keep_logs: int | None = None,
        deduplication: DeduplicationBody | None = None,
        idempotency_key: str | None = None,
    ) -> AddedJob:
        """Add a job.

        If the app has its task, the payload is checked against it. With a header `Idempotency-Key`
        a second request with the same key adds nothing for a day, and answers with the first one's
        job.

        Parameters:
            name: Its task.
            data: Its payload.
            job_id: An id of your own; a second job with it is not added.
            delay_s: Run no sooner than so many seconds from now.
            run_at: In place of `delay_s`.
            priority: 1 and up, lower first. 0: none, which runs before all others.
            lifo: Go to the front of the line.
            max_attempts: None: as its task says.
            idempotency_key: A second request with it adds nothing for a day.
        """
        found: AddedJob = self._ask(
            AddedJob,
            "POST",
            "queues",
            queue,
            "jobs",
            body={
                "name": name,
                "data": data,
                "job_id": job_id,
                "delay_s": delay_s,
                "run_at": run_at,
                "priority": priority,
                "lifo": lifo,
                "max_attempts": max_attempts,
                "backoff": backoff,
                "backoff_s": backoff_s,
                "jitter_ratio": jitter_ratio,
                "keep_completed": keep_completed,
                "keep_failed": keep_failed,
                "keep_logs": keep_logs,
                "deduplication": deduplication,
            },
            headers={} if idempotency_key is None else {"idempotency-key": idempotency_key},
        )
        return found

    def add_jobs_together(
        self, queue: str, jobs: Sequence[NewJobBody], *, idempotency_key: str | None = None
    ) -> AddedJobs:
        """Add up to 1,000 jobs, all or none; otherwise as a single one.

        Parameters:
            idempotency_key: A second request with it adds nothing for a day.
        """
        found: AddedJobs = self._ask(
            AddedJobs,
            "POST",
            "queues",
            queue,
            "jobs",
            "batch",
            body={"jobs": jobs},
            headers={} if idempotency_key is None else {"idempotency-key": idempotency_key},
        )
        return found

    def get_job(self, queue: str, job_id: str) -> JobFacts:
        """Show one job; its payload, result, attempts and log have addresses of their own."""
        found: JobFacts = self._ask(JobFacts, "GET", "queues", queue, "jobs", job_id)
        return found

    def get_data(self, queue: str, job_id: str) -> Value:
        """Return the payload of a job."""
        found: Value = self._ask(Value, "GET", "queues", queue, "jobs", job_id, "data")
        return found

    def get_result(self, queue: str, job_id: str) -> Value:
        """Return what a job has returned; null as long as it has not completed."""
        found: Value = self._ask(Value, "GET", "queues", queue, "jobs", job_id, "result")
        return found

    def list_attempts(self, queue: str, job_id: str) -> Page[AttemptInfo]:
        """List the attempts of a job that have ended, oldest first, the newest 50."""
        found: Page[AttemptInfo] = self._ask(
            Page[AttemptInfo], "GET", "queues", queue, "jobs", job_id, "attempts"
        )
        return found

    def list_log_lines(
        self, queue: str, job_id: str, *, limit: int = 200, after: str | None = None
    ) -> LogPage:
        """List what a job has logged, oldest first.

        Parameters:
            after: `next` of the page before.
        """
        found: LogPage = self._ask(
            LogPage,
            "GET",
            "queues",
            queue,
            "jobs",
            job_id,
            "logs",
            query={"limit": limit, "after": after},
        )
        return found

    def list_job_events(self, queue: str, job_id: str, *, limit: int = 50) -> Page[Event]:
        """List what happened to a job, of the newest 1,000 events of its queue."""
        found: Page[Event] = self._ask(
            Page[Event], "GET", "queues", queue, "jobs", job_id, "events", query={"limit": limit}
        )
        return found

    def explain_job(self, queue: str, job_id: str) -> Explanation:
        """Say why a job is not running, the most important reason first."""
        found: Explanation = self._ask(
            Explanation, "GET", "queues", queue, "jobs", job_id, "explanation"
        )
        return found

    def retry_job(
        self, queue: str, job_id: str, *, reason: str | None = None, reset_attempts: bool = True
    ) -> JobFacts:
        """Put a job back in line that has failed or completed.

        Parameters:
            reason: Why, for the log of changes.
            reset_attempts: Give it its full number of attempts again.
        """
        found: JobFacts = self._ask(
            JobFacts,
            "POST",
            "queues",
            queue,
            "jobs",
            job_id,
            "retry",
            body={"reason": reason, "reset_attempts": reset_attempts},
        )
        return found

    def promote_job(self, queue: str, job_id: str, *, reason: str | None = None) -> JobFacts:
        """Make a delayed job ready now.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: JobFacts = self._ask(
            JobFacts, "POST", "queues", queue, "jobs", job_id, "promote", body={"reason": reason}
        )
        return found

    def cancel_job(self, queue: str, job_id: str, *, reason: str | None = None) -> Done:
        """Stop a job for good: at once if it waits; if it runs, its worker is told.

        The reason is kept with the job.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done, "POST", "queues", queue, "jobs", job_id, "cancel", body={"reason": reason}
        )
        return found

    def change_job(
        self,
        queue: str,
        job_id: str,
        data: Any = UNSET,
        *,
        reason: str | None = None,
        delay_s: float | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
        lifo: bool = False,
    ) -> JobFacts:
        """Change a job's payload, delay or priority. Each is a change of its own, in this order.

        Parameters:
            reason: Why, for the log of changes.
            data: Its payload.
            delay_s: `delayed`: make it due so many seconds from now.
            lifo: With `priority`: go to the front of the line of that priority.
        """
        found: JobFacts = self._ask(
            JobFacts,
            "PATCH",
            "queues",
            queue,
            "jobs",
            job_id,
            body={
                "reason": reason,
                "data": data,
                "delay_s": delay_s,
                "priority": priority,
                "lifo": lifo,
            },
        )
        return found

    def remove_job(self, queue: str, job_id: str, *, below: bool = False) -> Done:
        """Remove a job. One that runs has to be cancelled first.

        With `below`: also everything below it in its flow, in whatever state.

        Parameters:
            below: Also all that is below it in its flow.
        """
        found: Done = self._ask(
            Done, "DELETE", "queues", queue, "jobs", job_id, query={"below": below}
        )
        return found

    def add_log_line(
        self, queue: str, job_id: str, line: str, *, reason: str | None = None
    ) -> Done:
        """Add a line to the log of a job; answers how many lines it has.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "queues",
            queue,
            "jobs",
            job_id,
            "logs",
            body={"reason": reason, "line": line},
        )
        return found

    def leave_flow(self, queue: str, job_id: str) -> Done:
        """Untie a job from its parent, which then waits for it no longer; the job itself stays."""
        found: Done = self._ask(Done, "DELETE", "queues", queue, "jobs", job_id, "parent")
        return found

    def list_events(self, queue: str, *, limit: int = 100, after: int | None = None) -> Page[Event]:
        """List events of a queue, oldest first: the newest, or those after a position.

        Parameters:
            after: Those after this position, oldest first. Default: the newest.
        """
        found: Page[Event] = self._ask(
            Page[Event], "GET", "queues", queue, "events", query={"limit": limit, "after": after}
        )
        return found

    def list_errors(self, *, queue: str | None = None, look_at: int = 500) -> ErrorGroups:
        """Group failed jobs that failed alike: by queue, name, type of the error, message and line.

        The newest failed jobs of each queue are looked at, `look_at` of them in all; the answer
        says how many there are.

        Parameters:
            queue: Only those of this queue.
            look_at: How many failed jobs to look at in all, the newest of each queue.
        """
        found: ErrorGroups = self._ask(
            ErrorGroups, "GET", "errors", query={"queue": queue, "look_at": look_at}
        )
        return found

    def list_flows(self, *, limit: int = 50, queue: str | None = None) -> Page[FlowLine]:
        """List flows whose root waits for its children, longest first within each queue.

        Parameters:
            queue: Only those whose root is in this queue.
        """
        found: Page[FlowLine] = self._ask(
            Page[FlowLine], "GET", "flows", query={"limit": limit, "queue": queue}
        )
        return found

    def list_stuck_flows(self, *, limit: int = 50, queue: str | None = None) -> Page[StuckFlow]:
        """List parents that can never go on by themselves, each with the reason.

        Parameters:
            queue: Only those whose root is in this queue.
        """
        found: Page[StuckFlow] = self._ask(
            Page[StuckFlow], "GET", "flows", "stuck", query={"limit": limit, "queue": queue}
        )
        return found

    def get_flow(self, queue: str, job_id: str, *, limit: int = 200) -> FlowFacts:
        """Show the flow below a job: each job before its children, and how far it has come.

        Parameters:
            limit: Jobs at most.
        """
        found: FlowFacts = self._ask(
            FlowFacts, "GET", "queues", queue, "jobs", job_id, "flow", query={"limit": limit}
        )
        return found

    def retry_flow(
        self, queue: str, job_id: str, *, reason: str | None = None, reset_attempts: bool = True
    ) -> Done:
        """Put back in line what has failed below a job and the job itself, children first.

        Parameters:
            reason: Why, for the log of changes.
            reset_attempts: Give it its full number of attempts again.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "queues",
            queue,
            "jobs",
            job_id,
            "flow",
            "retry",
            body={"reason": reason, "reset_attempts": reset_attempts},
        )
        return found

    def cancel_flow(self, queue: str, job_id: str, *, reason: str | None = None) -> Done:
        """Stop for good what has not ended below a job and the job itself.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done, "POST", "queues", queue, "jobs", job_id, "flow", "cancel", body={"reason": reason}
        )
        return found

    def list_schedules(
        self, *, queue: str | None = None, limit: int = 1000, after: str | None = None
    ) -> Page[ScheduleInfo]:
        """List the schedules of all queues, or of one: by queue, the next one first.

        Parameters:
            queue: Only those of this queue.
            after: `next` of the page before.
        """
        found: Page[ScheduleInfo] = self._ask(
            Page[ScheduleInfo],
            "GET",
            "schedules",
            query={"queue": queue, "limit": limit, "after": after},
        )
        return found

    def get_schedule(self, queue: str, schedule_id: str) -> ScheduleInfo:
        """Show a schedule."""
        found: ScheduleInfo = self._ask(ScheduleInfo, "GET", "schedules", queue, schedule_id)
        return found

    def put_schedule(
        self,
        queue: str,
        schedule_id: str,
        name: str,
        data: Any = UNSET,
        *,
        reason: str | None = None,
        cron: str | None = None,
        every_s: float | None = None,
        timezone: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        offset_s: float | None = None,
        immediately: bool = False,
        jitter_s: float = 0.0,
        missed: Literal["skip", "one", "all"] = "one",
        priority: int = 0,
        max_attempts: int | None = None,
    ) -> ScheduleInfo:
        """Make a schedule, or change the one of this id. One that is paused stays so.

        Parameters:
            reason: Why, for the log of changes.
            name: The name of its jobs: their task.
            data: The payload of each job.
            cron: Five fields, six with seconds first, or `@daily` and its kin. Excludes
                `every_s`.
            timezone: Whose local time `cron` means.
            limit: How many jobs in all.
        """
        found: ScheduleInfo = self._ask(
            ScheduleInfo,
            "PUT",
            "schedules",
            queue,
            schedule_id,
            body={
                "reason": reason,
                "name": name,
                "data": data,
                "cron": cron,
                "every_s": every_s,
                "timezone": timezone,
                "start": start,
                "end": end,
                "limit": limit,
                "offset_s": offset_s,
                "immediately": immediately,
                "jitter_s": jitter_s,
                "missed": missed,
                "priority": priority,
                "max_attempts": max_attempts,
            },
        )
        return found

    def run_schedule(self, queue: str, schedule_id: str, *, reason: str | None = None) -> AddedJob:
        """Add a job as the schedule makes them, now. Its own jobs come when they would.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: AddedJob = self._ask(
            AddedJob, "POST", "schedules", queue, schedule_id, "run", body={"reason": reason}
        )
        return found

    def pause_schedule(
        self, queue: str, schedule_id: str, *, reason: str | None = None
    ) -> ScheduleInfo:
        """Let a schedule make no jobs until it is resumed.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: ScheduleInfo = self._ask(
            ScheduleInfo, "POST", "schedules", queue, schedule_id, "pause", body={"reason": reason}
        )
        return found

    def resume_schedule(
        self, queue: str, schedule_id: str, *, reason: str | None = None
    ) -> ScheduleInfo:
        """Let a schedule go on, with its next moment from now.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: ScheduleInfo = self._ask(
            ScheduleInfo, "POST", "schedules", queue, schedule_id, "resume", body={"reason": reason}
        )
        return found

    def remove_schedule(self, queue: str, schedule_id: str) -> Done:
        """Remove a schedule. One that code declares comes back with the next worker."""
        found: Done = self._ask(Done, "DELETE", "schedules", queue, schedule_id)
        return found

    def list_letter_queues(self) -> Page[LetterQueue]:
        """List the dead-letter queues that queues or tasks name, and how full each is."""
        found: Page[LetterQueue] = self._ask(Page[LetterQueue], "GET", "dead")
        return found

    def list_letters(
        self,
        letters: str,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        redriven: bool | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[LetterLine]:
        """List the letters of a dead-letter queue, oldest first.

        With a filter there may be fewer than `limit` although `next` is set: one request looks at
        a bounded number.

        Parameters:
            queue: Only of jobs that were in this queue.
            task: Only of jobs of this name.
            error: Only where the reason contains this.
            redriven: Only those whose job was brought back, or was not.
            after: `next` of the page before.
        """
        found: Page[LetterLine] = self._ask(
            Page[LetterLine],
            "GET",
            "dead",
            letters,
            query={
                "queue": queue,
                "task": task,
                "error": error,
                "redriven": redriven,
                "limit": limit,
                "after": after,
            },
        )
        return found

    def get_letter(self, letters: str, letter_id: str) -> LetterInfo:
        """Show all that a letter says."""
        found: LetterInfo = self._ask(LetterInfo, "GET", "dead", letters, letter_id)
        return found

    def redrive_letter(
        self, letters: str, letter_id: str, data: Any = UNSET, *, reason: str | None = None
    ) -> Redriven:
        """Bring the job of a letter back: into its queue, with its options, attempts anew.

        Parameters:
            reason: Why, for the log of changes.
            data: Another payload for the job.
        """
        found: Redriven = self._ask(
            Redriven,
            "POST",
            "dead",
            letters,
            letter_id,
            "redrive",
            body={"reason": reason, "data": data},
        )
        return found

    def redrive_letters(
        self,
        letters: str,
        *,
        reason: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        limit: int | None = None,
    ) -> Done:
        """Bring back the jobs of all letters that were not redriven, or of some.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "dead",
            letters,
            "redrive",
            body={"reason": reason, "queue": queue, "task": task, "error": error, "limit": limit},
        )
        return found

    def remove_letter(self, letters: str, letter_id: str) -> Done:
        """Remove a letter. Its job stays as it is."""
        found: Done = self._ask(Done, "DELETE", "dead", letters, letter_id)
        return found

    def remove_letters(
        self,
        letters: str,
        *,
        reason: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        limit: int | None = None,
        redriven: bool | None = None,
    ) -> Done:
        """Remove letters, all or some. Their jobs stay as they are.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "dead",
            letters,
            "remove",
            body={
                "reason": reason,
                "queue": queue,
                "task": task,
                "error": error,
                "limit": limit,
                "redriven": redriven,
            },
        )
        return found

    def list_workers(self, *, limit: int = 50) -> Page[WorkerFacts]:
        """List the workers that are alive, oldest first."""
        found: Page[WorkerFacts] = self._ask(
            Page[WorkerFacts], "GET", "workers", query={"limit": limit}
        )
        return found

    def get_worker(self, worker_id: str) -> WorkerFacts:
        """Show a worker."""
        found: WorkerFacts = self._ask(WorkerFacts, "GET", "workers", worker_id)
        return found

    def declare_dead(self, worker_id: str, *, reason: str | None = None) -> Done:
        """Say that a worker is known to be dead, and put its jobs back in line at once.

        Otherwise its silence tells, in 9 s.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done, "POST", "workers", worker_id, "declare-dead", body={"reason": reason}
        )
        return found

    def tell_worker(
        self,
        worker_id: str,
        wish: Literal["pause", "resume", "quiet", "stop", "resize"],
        *,
        reason: str | None = None,
        concurrency: int | None = None,
    ) -> Done:
        """Tell a worker what to do: it hears it within 3 s, with its next heartbeat.

        Whoever asks has to be allowed to operate all queues that the worker serves.

        Parameters:
            reason: Why, for the log of changes.
            wish: `pause`: take no jobs until `resume`. `quiet`: take none any more. `stop`:
                leave in order. `resize`: run another number of jobs at once.
            concurrency: `resize`: how many jobs at once.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "workers",
            worker_id,
            "tell",
            body={"reason": reason, "wish": wish, "concurrency": concurrency},
        )
        return found

    def search_jobs(
        self, *, q: str = "", limit: int = 50, after: str | None = None, budget_s: float = 2.0
    ) -> FoundJobs:
        """Find jobs of all queues by a line such as `state:failed name:receipt since:1h`.

        The store is asked in short calls. Once the time is over, the answer is what was found, and
        a cursor to go on.

        Parameters:
            q: What to look for, such as `state:failed name:receipt since:1h`.
            after: `next` of the page before, of the same search.
            budget_s: How long to look.
        """
        found: FoundJobs = self._ask(
            FoundJobs,
            "GET",
            "jobs",
            query={"q": q, "limit": limit, "after": after, "budget_s": budget_s},
        )
        return found

    def plan_search(self, *, q: str = "") -> SearchPlan:
        """Say what a search will cost; no job is looked at.

        Parameters:
            q: What to look for.
        """
        found: SearchPlan = self._ask(SearchPlan, "GET", "jobs", "plan", query={"q": q})
        return found

    def preview_operation(
        self,
        action: Literal["retry", "remove", "promote", "cancel", "move"],
        *,
        reason: str | None = None,
        query: str | None = None,
        queue: str | None = None,
        ids: Sequence[str] | None = None,
        max_per_s: float | None = None,
        reset_attempts: bool = True,
        to: str | None = None,
        keep_s: float = 600.0,
    ) -> OperationPlan:
        """Say how many jobs an operation would change, with ten of them. Nothing is changed.

        Parameters:
            reason: Why, for the log of changes.
            query: A search that finds them.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.
            reset_attempts: `retry`: give each its full number of attempts again.
            to: `move`: the other queue.
            keep_s: `remove`: for how long the jobs can be put back.
        """
        found: OperationPlan = self._ask(
            OperationPlan,
            "POST",
            "operations",
            "preview",
            body={
                "reason": reason,
                "action": action,
                "query": query,
                "queue": queue,
                "ids": ids,
                "max_per_s": max_per_s,
                "reset_attempts": reset_attempts,
                "to": to,
                "keep_s": keep_s,
            },
        )
        return found

    def begin_operation(
        self,
        action: Literal["retry", "remove", "promote", "cancel", "move"],
        *,
        reason: str | None = None,
        query: str | None = None,
        queue: str | None = None,
        ids: Sequence[str] | None = None,
        max_per_s: float | None = None,
        reset_attempts: bool = True,
        to: str | None = None,
        keep_s: float = 600.0,
    ) -> OperationInfo:
        """Begin to change many jobs: those that a search finds, or those that are named.

        The answer comes at once; the operation goes on in the server, and after a kill in any
        worker of the store. `GET /operations/{operation_id}` says how far it is.

        Parameters:
            reason: Why, for the log of changes.
            query: A search that finds them.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.
            reset_attempts: `retry`: give each its full number of attempts again.
            to: `move`: the other queue.
            keep_s: `remove`: for how long the jobs can be put back.
        """
        found: OperationInfo = self._ask(
            OperationInfo,
            "POST",
            "operations",
            body={
                "reason": reason,
                "action": action,
                "query": query,
                "queue": queue,
                "ids": ids,
                "max_per_s": max_per_s,
                "reset_attempts": reset_attempts,
                "to": to,
                "keep_s": keep_s,
            },
        )
        return found

    def list_operations(self, *, limit: int = 50) -> Page[OperationInfo]:
        """List operations on many jobs, newest first. They are known for a week."""
        found: Page[OperationInfo] = self._ask(
            Page[OperationInfo], "GET", "operations", query={"limit": limit}
        )
        return found

    def get_operation(self, operation_id: str) -> OperationInfo:
        """Show what an operation is to do, and how far it is."""
        found: OperationInfo = self._ask(OperationInfo, "GET", "operations", operation_id)
        return found

    def cancel_operation(self, operation_id: str, *, reason: str | None = None) -> OperationInfo:
        """Have an operation end where it stands.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: OperationInfo = self._ask(
            OperationInfo, "POST", "operations", operation_id, "cancel", body={"reason": reason}
        )
        return found

    def undo_operation(self, operation_id: str, *, reason: str | None = None) -> Restored:
        """Put the jobs back that an operation has removed, as long as they are kept.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Restored = self._ask(
            Restored, "POST", "operations", operation_id, "undo", body={"reason": reason}
        )
        return found

    def list_keys(self) -> Page[KeyLine]:
        """List the keys, without their secrets. The one of the settings is not among them."""
        found: Page[KeyLine] = self._ask(Page[KeyLine], "GET", "keys")
        return found

    def add_key(
        self,
        name: str,
        role: Literal["viewer", "submitter", "operator", "admin"],
        *,
        reason: str | None = None,
        queues: Sequence[str] | None = None,
        payloads: bool = False,
        expires_s: float | None = None,
    ) -> NewKey:
        """Make a key. The answer shows it once.

        Parameters:
            reason: Why, for the log of changes.
            name: What it is called in the audit log.
            queues: Only these: names, or patterns with `*`. None: all.
            payloads: It may see what jobs carry.
            expires_s: After how long it ends. None: never.
        """
        found: NewKey = self._ask(
            NewKey,
            "POST",
            "keys",
            body={
                "reason": reason,
                "name": name,
                "role": role,
                "queues": queues,
                "payloads": payloads,
                "expires_s": expires_s,
            },
        )
        return found

    def remove_key(self, name: str) -> Done:
        """Forget a key. Its next request is refused."""
        found: Done = self._ask(Done, "DELETE", "keys", name)
        return found

    def list_users(self) -> Page[UserLine]:
        """List the users, without their passwords."""
        found: Page[UserLine] = self._ask(Page[UserLine], "GET", "users")
        return found

    def add_user(
        self,
        name: str,
        password: str,
        role: Literal["viewer", "submitter", "operator", "admin"],
        *,
        reason: str | None = None,
        queues: Sequence[str] | None = None,
        payloads: bool = False,
    ) -> Done:
        """Add a user, who signs in with a browser.

        Parameters:
            reason: Why, for the log of changes.
            queues: Only these: names, or patterns with `*`. None: all.
            payloads: The user may see what jobs carry.
        """
        found: Done = self._ask(
            Done,
            "POST",
            "users",
            body={
                "reason": reason,
                "name": name,
                "password": password,
                "role": role,
                "queues": queues,
                "payloads": payloads,
            },
        )
        return found

    def change_user(
        self,
        name: str,
        *,
        reason: str | None = None,
        role: Literal["viewer", "submitter", "operator", "admin"] | UnsetType = UNSET,
        queues: Sequence[str] | UnsetType | None = UNSET,
        payloads: bool | UnsetType = UNSET,
        version: str | None = None,
    ) -> UserLine:
        """Give a user other rights. The user's sessions have them with the next request.

        The last user who is an administrator for all queues stays one.

        Parameters:
            reason: Why, for the log of changes.
            queues: Only these: names, or patterns with `*`. null: all.
            payloads: The user may see what jobs carry.
            version: Only if the rights are still those of this `version`, as the list of users
                has it.
        """
        found: UserLine = self._ask(
            UserLine,
            "PATCH",
            "users",
            name,
            body={
                "reason": reason,
                "role": role,
                "queues": queues,
                "payloads": payloads,
                "version": version,
            },
        )
        return found

    def set_password(self, name: str, password: str, *, reason: str | None = None) -> Done:
        """Give a user another password. All sessions of the user end.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done, "PUT", "users", name, "password", body={"reason": reason, "password": password}
        )
        return found

    def remove_user(self, name: str, *, last: bool = False) -> Done:
        """Forget a user. All sessions of the user end.

        The last user who is an administrator for all queues stays, unless `last` is given.

        Parameters:
            last: Also the last one who is an administrator for all queues.
        """
        found: Done = self._ask(Done, "DELETE", "users", name, query={"last": last})
        return found

    def sign_in(
        self, *, name: str | None = None, password: str | None = None, key: str | None = None
    ) -> Me:
        """Begin a session of a browser: with name and password, or with a key.

        The answer sets the cookie.

        Parameters:
            key: In place of name and password.
        """
        found: Me = self._ask(
            Me, "POST", "session", body={"name": name, "password": password, "key": key}
        )
        return found

    def sign_out(self, *, reason: str | None = None) -> Done:
        """End the session of the browser that asks.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(Done, "POST", "session", "end", body={"reason": reason})
        return found

    def list_my_sessions(self) -> Page[SessionLine]:
        """List the sessions of the one who asks, of all browsers."""
        found: Page[SessionLine] = self._ask(Page[SessionLine], "GET", "me", "sessions")
        return found

    def end_my_sessions(self, *, others: bool = False) -> Done:
        """End one's own sessions: all, or all but the one that asks.

        Parameters:
            others: Not the one that asks.
        """
        found: Done = self._ask(Done, "DELETE", "me", "sessions", query={"others": others})
        return found

    def end_my_session(self, session_id: str) -> Done:
        """End one of one's own sessions. Its next request is refused."""
        found: Done = self._ask(Done, "DELETE", "me", "sessions", session_id)
        return found

    def list_sessions(
        self, *, kind: Literal["user", "key"] | None = None, name: str | None = None
    ) -> Page[SessionLine]:
        """List the sessions of everybody, or of one user or key: the one seen last first.

        Parameters:
            kind: Only those of users, or of keys with which somebody has signed in.
            name: Only those of the user or the key of this name.
        """
        found: Page[SessionLine] = self._ask(
            Page[SessionLine], "GET", "sessions", query={"kind": kind, "name": name}
        )
        return found

    def end_sessions(self, name: str, *, kind: Literal["user", "key"] = "user") -> Done:
        """End all sessions of a user, or of those who have signed in with a key.

        Parameters:
            name: Of the user or the key.
        """
        found: Done = self._ask(Done, "DELETE", "sessions", query={"name": name, "kind": kind})
        return found

    def end_session(self, session_id: str) -> Done:
        """End a session, whosever it is. Its next request is refused."""
        found: Done = self._ask(Done, "DELETE", "sessions", session_id)
        return found

    def list_audit(
        self,
        *,
        actor: str | None = None,
        verb: str | None = None,
        queue: str | None = None,
        job_id: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> AuditEntries:
        """List what people and programs have done, newest first.

        With a filter there may be fewer than `limit` although `next` is set: one request looks
        through a few thousand entries.

        Parameters:
            actor: Only what this actor did, such as `user:jo`.
            verb: Only this method, such as `retry_all`.
            queue: Only what was done to this queue and its jobs.
            job_id: Only what was done to jobs of this id.
            since: Only what was done then or later.
            after: `next` of the page before.
        """
        found: AuditEntries = self._ask(
            AuditEntries,
            "GET",
            "audit",
            query={
                "actor": actor,
                "verb": verb,
                "queue": queue,
                "job_id": job_id,
                "since": since,
                "limit": limit,
                "after": after,
            },
        )
        return found

    def list_alerts(self) -> AlertFacts:
        """List alerts that are raised, pending, or have recovered lately; what is muted and unsent.

        Workers of an app that declares alerts watch for them. A key for some queues is shown
        alerts of those queues only.
        """
        found: AlertFacts = self._ask(AlertFacts, "GET", "alerts")
        return found

    def mute_alerts(
        self, duration_s: float, *, reason: str | None = None, rule: str = "*", queue: str = "*"
    ) -> MuteLine:
        """Tell nobody of some alerts for a while. What is still raised then is told.

        Parameters:
            reason: Why, for the log of changes.
            rule: A rule, or a pattern with `*`.
            queue: A queue, or a pattern with `*`.
            duration_s: For how long. What is still raised then is told.
        """
        found: MuteLine = self._ask(
            MuteLine,
            "POST",
            "alerts",
            "mute",
            body={"reason": reason, "rule": rule, "queue": queue, "duration_s": duration_s},
        )
        return found

    def unmute_alerts(
        self, *, reason: str | None = None, rule: str = "*", queue: str = "*"
    ) -> Done:
        """End a mute, given in the words in which it was made.

        Parameters:
            reason: Why, for the log of changes.
        """
        found: Done = self._ask(
            Done, "POST", "alerts", "unmute", body={"reason": reason, "rule": rule, "queue": queue}
        )
        return found

    def get_system(self) -> SystemFacts:
        """Show the server and its store: versions, settings without secrets, its speed."""
        found: SystemFacts = self._ask(SystemFacts, "GET", "system")
        return found

    def check_store(self) -> StoreCheck:
        """Look the store over, as `toril doctor` does. Nothing is changed.

        With millions of jobs it takes a while.
        """
        found: StoreCheck = self._ask(StoreCheck, "GET", "system", "check")
        return found
