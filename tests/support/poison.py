"""Jobs that no caller of ours can make, and that may lie in a store all the same."""

from __future__ import annotations

from typing import Any

from toril.engine.job import NewJob

DEEP = '{"n":' + "[" * 3_000 + "]" * 3_000 + "}"
"""JSON that is nested deeper than Python follows."""
DEEP_OPTIONS = '{"attempts":3,"backoff":' + "[" * 1_100 + "]" * 1_100 + "}"
LONG_NUMBER = "9" * 400
FAR_MS = 170_000_000 * 10**10
"""`timestamp: 1.7e18`: nanoseconds in place of milliseconds."""

TEXTS = {
    "deep": DEEP,
    "deep enough for msgspec": "[" * 900 + "]" * 900,
    "long number": f'{{"n":{LONG_NUMBER}}}',
    "endless number": '{"n":1e999}',
    "half an emoji": '{"n":"\\ud83d"}',
    "not JSON": "{",
    "empty": "",
}
"""Payloads, by what is wrong with them."""

OPTIONS = {
    "deep": DEEP_OPTIONS,
    "long delay": f'{{"backoff":{{"type":"fixed","delay":{LONG_NUMBER}}}}}',
    "long delay alone": f'{{"backoff":{LONG_NUMBER}}}',
    "long jitter": f'{{"backoff":{{"type":"fixed","delay":1,"jitter":{LONG_NUMBER}}}}}',
    "long attempts": f'{{"attempts":{LONG_NUMBER},"kl":{LONG_NUMBER}}}',
    "long ages": (
        f'{{"removeOnComplete":{{"age":{LONG_NUMBER}}},"removeOnFail":{{"age":{LONG_NUMBER}}}}}'
    ),
    "longer than Python reads": '{"attempts":' + "9" * 5_000 + "}",
    "endless age": '{"removeOnFail":{"age":1e999}}',
    "half an emoji": '{"jobId":"\\ud83d","attempts":3}',
    "not an object": "[1]",
    "other types": '{"attempts":{},"backoff":[],"kl":"x","lifo":[],"removeOnFail":"y","de":7}',
    "other types within": '{"backoff":{"type":[],"delay":{},"jitter":"1","toril:said":[[],{}]}}',
    "not JSON": "{",
}
"""Stored options, by what is wrong with them."""


def poisonous(queue: str) -> list[NewJob]:
    """Return jobs whose moments, payloads or options are beyond what anybody means."""
    far: list[dict[str, Any]] = [
        {"run_at_ms": 253_402_300_800_000},  # datetime.max, rounded
        {"run_at_ms": 2**53 - 1},
        {"delay_ms": 10**15},  # Node's `delay: 1e15`
        {"timestamp_ms": FAR_MS},
        {"timestamp_ms": FAR_MS, "delay_ms": 10**15},
        {"timestamp_ms": -FAR_MS},
        {"timestamp_ms": -62_135_596_800_001},  # just before the year 1
    ]
    jobs = [NewJob(queue=queue, name="far", data="{}", **moments) for moments in far]
    jobs += [NewJob(queue=queue, name="text", data=text) for text in TEXTS.values() if text]
    jobs += [NewJob(queue=queue, name="options", data="{}", opts=opts) for opts in OPTIONS.values()]
    return jobs
