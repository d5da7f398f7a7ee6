"""`toril metrics`: figures for Prometheus."""

from __future__ import annotations

from tests.cli.support import Terminal

from toril.cli.codes import STATE


def test_metrics_of_all_queues_are_printed_as_prometheus_reads_them(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "broken", {"to": "jo"})
    terminal.work_off()
    terminal.add("reports", "make")

    text = terminal.run("metrics").out

    lines = text.splitlines()
    assert text.endswith("\n")
    assert lines[0].startswith("# HELP bullmq_job_count ")
    assert 'bullmq_job_completed_total{queue="mail"} 1.0' in lines
    assert 'bullmq_job_failed_total{queue="mail"} 1.0' in lines
    assert 'bullmq_job_count{queue="reports",state="waiting"} 1.0' in lines


def test_metrics_of_some_queues_and_as_json(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    terminal.add("reports", "make")

    words = terminal.here("metrics", "reports").out
    found = terminal.here("metrics", "reports", "--json").json["metrics"]

    assert 'queue="reports"' in words
    assert 'queue="mail"' not in words
    (failed,) = (metric for metric in found if metric["name"] == "bullmq_job_failed_total")
    assert failed["kind"] == "counter"
    assert failed["samples"] == [{"labels": {"queue": "reports"}, "value": 0}]


def test_metrics_of_a_queue_that_is_not_there_are_refused(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.here("metrics", "mial")

    assert (result.code, result.out) == (STATE, "")
    assert "did you mean 'mail'?" in result.err
