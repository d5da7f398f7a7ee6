"""Marks log records with the job that their code works for."""

from __future__ import annotations

import logging

from toril.engine.current_job import ASKED, current_job, current_trace


class JobLogFilter(logging.Filter):
    """Gives each log record `queue`, `job_id`, `task`, `attempt`, and `job`: these in words.

    And `trace_id` and `span_id` of the span that its code is in, if the app traces.

    Add it to a handler, before the workers start, and use the names in the handler's format.
    Outside of a job the texts are empty and `attempt` is 0. A record that has such a name keeps it.

    ```python
    handler.addFilter(JobLogFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(job)s %(message)s"))
    ```
    """

    def __init__(self) -> None:
        """Make a filter. Workers that start from now on tell which job their code works for."""
        super().__init__()
        ASKED.ask()

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark a record; lets every one through."""
        names = current_job()
        if names is None:
            marks = {"queue": "", "job_id": "", "task": "", "attempt": 0, "job": ""}
        else:
            marks = {**names._asdict(), "job": str(names)}
        trace = current_trace()
        marks["trace_id"], marks["span_id"] = ("", "") if trace is None else trace
        for name, value in marks.items():
            record.__dict__.setdefault(name, value)
        return True
