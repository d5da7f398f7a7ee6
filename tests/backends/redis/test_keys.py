"""Which keys are jobs', by their form."""

from __future__ import annotations

import pytest

from toril.backends.redis.keys import Keys


@pytest.mark.parametrize(
    ("suffix", "job_of"),
    [
        ("mail:1", ("mail", "1")),
        ("mail:1:logs", ("mail", "1:logs")),
        ("mail:own-id:lock", ("mail", "own-id:lock")),
        ("mail:meta", None),
        ("mail:stalled-check", None),
        ("mail:1:unknown", None),
        ("mail:repeat:nightly:1", None),
        ("mail:de:logs", None),
        ("mail:metrics:failed", None),
        ("mail:metrics:failed:data", None),
        ("mail:7:meta:toril:none", None),
        ("mail:", None),
        ("mail", None),
        (":toril:queues", None),
        (":relay:1", None),
    ],
)
def test_key_of_a_job_is_known_by_its_form(suffix: str, job_of: tuple[str, str] | None) -> None:
    assert Keys("a:b").job_of(f"a:b:{suffix}") == job_of
