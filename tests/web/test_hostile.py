"""Requests that nobody means well with get one sentence, and never an error of the server."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

import pytest
from tests.web.support import Served, serve

from toril import App
from toril.web.limits import MAX_DEPTH, MAX_KEYS
from toril.web.options import ServerOptions

JSON = {"content-type": "application/json"}


@pytest.fixture
def url() -> str:
    """A store in memory: none of these requests gets as far."""
    return "sqlite://:memory:"


def job(data: str) -> bytes:
    return b'{"name": "send", "data": ' + data.encode() + b"}"


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BODIES = {
    "3 MB": (job(json.dumps("x" * 3_000_000)), 413, "larger than 1,048,576 bytes"),
    "10,000 keys": (
        job(json.dumps({f"k{n}": n for n in range(10_000)})), 422, "data has 10,000 keys",
    ),
    "depth 10,000": (job(nested(10_000)), 422, "nested more than 100 levels deep"),
    "depth 10,000 of arrays": (b"[" * 10_000, 422, "nested more than 100 levels deep"),
    "broken UTF-8": (b'{"name": "\xff\xfe"}', 400, "not JSON"),
    "cut UTF-8": (b'{"name": "\xe2\x82"}', 400, "not JSON"),
    "NaN": (job('{"n": NaN}'), 400, "not JSON"),
    "infinity": (job('{"n": 1e999}'), 422, "number out of range"),
    "400 digits": (job("{" + '"n": ' + "9" * 400 + "}"), 422, "data.n is a number of 400 digits"),
    "5,000 digits": (job("{" + '"n": ' + "9" * 5000 + "}"), 422, "value out of range"),
    "400 digits below zero": (job("[-" + "9" * 400 + "]"), 422, "data[0] is a number of"),
    "NUL": (b'{"name": "a\x00b"}', 400, "not JSON"),
    "NUL in a name": (b'{"name": "a\\u0000b"}', 422, "printable characters"),
    "half a character in a name": (b'{"name": "a\\ud83e"}', 200, ""),
    "no JSON": (b"name=send", 400, "not JSON"),
    "two documents": (b'{"name": "a"} {"name": "b"}', 400, "not JSON"),
    "an array": (b"[]", 422, "the body: expected `object`, got `array`"),
    "null": (b"null", 422, "the body: expected `object`, got `null`"),
    "nothing": (b"", 422, "name is missing"),
    "an unknown field": (b'{"name": "a", "dealy_s": 3}', 422, "did you mean 'delay_s'?"),
    "a wrong type": (b'{"name": "a", "delay_s": "3"}', 422, "delay_s: expected `float`"),
    "a wrong word": (b'{"name": "a", "backoff": "linear"}', 422, "one of exponential, fixed"),
    "a moment without a zone": (
        b'{"name": "a", "run_at": "2030-01-01T00:00:00"}', 422, "run_at: expected `datetime` with",
    ),
    "both delay and moment": (
        b'{"name": "a", "delay_s": 1, "run_at": "2030-01-01T00:00:00Z"}', 422, "not both",
    ),
    "a negative priority": (b'{"name": "a", "priority": -1}', 422, "priority: expected `int` >= 0"),
    "an id of a word of the store": (b'{"name": "a", "job_id": "meta"}', 422, "reserved"),
    "an id that is a number": (b'{"name": "a", "job_id": "17"}', 422, "not an integer"),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
async def test_hostile_body_gets_a_sentence(served: Served, what: str) -> None:
    body, status, sentence = BODIES[what]

    answer = await served.ask("POST", "/queues/mail/jobs", content=body, headers=JSON)

    assert answer.status_code == status, answer.text
    if status != 200:
        check_problem(answer.json(), status)
        assert sentence in answer.json()["error"]["message"]
        assert answer.headers["content-type"] == "application/problem+json"


def check_problem(problem: dict[str, object], status: int) -> None:
    assert problem["status"] == status
    error = problem["error"]
    assert isinstance(error, dict)
    assert error["message"] == problem["detail"]
    assert " " not in (error["code"] or " ")
    assert "Traceback" not in str(problem)


async def test_depth_and_keys_up_to_the_limit_are_fine(app: App, served: Served) -> None:
    deep = job(nested(MAX_DEPTH - 1))
    wide = job(json.dumps({f"k{n}": n for n in range(MAX_KEYS)}))

    for body in (deep, wide, job(str(2**64 - 1)), job(str(-(2**63)))):
        answer = await served.ask("POST", "/queues/mail/jobs", content=body, headers=JSON)
        assert answer.status_code == 200, answer.text


QUERIES = {
    "limit=0": "limit: expected `int` >= 1",
    "limit=x": "limit: expected `int`",
    "limit=5&limit=6": "limit: give it once",
    "state=lost": "one of wait, prioritized, delayed",
    "sate=wait": "did you mean 'state'?",
    "after=%00": "after=",
    "after=wait:1": "after=",
    "fields=id,nam": "did you mean 'name'?",
    "newest_first=perhaps": "newest_first: expected `bool`",
    "limit=99999999999999999999999999": "limit: ",
}


@pytest.mark.parametrize("query", QUERIES)
async def test_query_that_makes_no_sense_gets_a_sentence(
    app: App, served: Served, query: str
) -> None:
    await app.queue("mail").add("send")

    answer = await served.ask("GET", f"/queues/mail/jobs?{query}")

    assert answer.status_code == 422, answer.text
    check_problem(answer.json(), 422)
    assert QUERIES[query] in answer.json()["detail"]


NAMES = {
    ("PUT", "/schedules/mail/s", b'{"name": "n", "every_s": 1e-9}'): ("every_s", "every_s=1e-09: "),
    ("PUT", "/schedules/mail/s", b'{"name": "n"}'): ("cron", "one of cron= and every_s="),
    ("PUT", "/schedules/mail/s", b'{"name": "n", "every_s": 5, "offset_s": 7}'): (
        "offset_s", "offset_s=7.0: expected less than every_s=5.0",
    ),
    ("GET", "/jobs?q=state:failed&after=zzz", b""): ("after", "after='zzz': expected the `next`"),
    ("PATCH", "/queues/mail", b'{"dead_letter_keep_s": -1}'): (
        "dead_letter_keep_s", "dead_letter_keep_s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("asked", NAMES)
async def test_errors_name_what_was_sent(
    app: App, served: Served, asked: tuple[str, str, bytes]
) -> None:
    """They named options of Python, such as `every`, which nobody had sent."""
    await app.queue("mail").add("send")
    method, path, body = asked

    answer = await served.ask(method, path, content=body, headers=JSON if body else {})

    field, words = NAMES[asked]
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/queues/mail%FF", 400),
        ("GET", "/queues/mail?prefix=%FF", 422),
        ("GET", "/queues?prefix=%FF", 400),
        ("GET", "/queues/a:b", 422),
        ("GET", "/queues/%00", 404),
        ("GET", "/queues//jobs", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/workers/a%0Ab", 404),
        ("GET", "/nothing%0Ahere", 404),
        ("GET", "/queues/mail/jobs/1/more/and/more", 404),
        ("PUT", "/queues", 405),
        ("TRACE", "/queues", 405),
        ("POST", "/queues/mail/jobs/1", 405),
        ("OPTIONS", "/queues", 204),
        ("GET", "/health?x=1", 422),
        ("GET", f"/queues/{'q' * 5000}", 404),
        ("GET", "/dead/mail/1", 404),
    ],
)
async def test_address_that_is_none_gets_a_sentence(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = await served.ask(method, path)

    assert answer.status_code == status, answer.text
    if status >= 400 and method != "TRACE":
        check_problem(answer.json(), status)
    if status in (204, 405):
        assert "GET" in answer.headers["allow"] or method == "POST"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_body_of_another_kind_is_refused(served: Served, kind: str) -> None:
    """A page of another site may send such bodies without asking first."""
    answer = await served.ask(
        "POST", "/queues/mail/pause", content=b"{}", headers={"content-type": kind}
    )

    assert answer.status_code == 415
    assert "expected application/json" in answer.json()["detail"]


async def test_body_that_does_not_arrive_is_not_waited_for(app: App) -> None:
    async with serve(app, ServerOptions(body_timeout_s=0.05)) as served:
        answer = await raw(served, "content-length: 90", b'{"name":')

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"not complete within 0.05 s" in answer


async def test_body_without_a_length_is_measured_as_it_comes(app: App) -> None:
    chunk = b"2710\r\n" + b" " * 10_000 + b"\r\n"

    async with serve(app, ServerOptions(max_body_bytes=50_000)) as served:
        answer = await raw(served, "transfer-encoding: chunked", chunk * 6)

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_answer_is_sent_at_once(served: Served) -> None:
    """Its body must not wait for the receipt of its headers, which takes 40 ms."""
    took_s = []
    for _ in range(30):
        begin_s = time.perf_counter()
        await served.ask("GET", "/health")
        took_s.append(time.perf_counter() - begin_s)

    assert min(took_s[1:]) < 0.03


async def raw(served: Served, header: str, body: bytes) -> bytes:
    """Send a request that does not end, and return what is answered until the server hangs up."""
    where = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"POST /api/v1/queues/mail/jobs HTTP/1.1\r\nhost: localhost\r\n{header}\r\n"
    writer.write(f"{head}content-type: application/json\r\n\r\n".encode() + body)
    try:
        answer = b""
        while b"}}" not in answer:
            part = await reader.read(65536)
            if not part:
                break
            answer += part
        return answer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_caller_that_adds_too_many_is_told_when_to_come_back(app: App) -> None:
    async with serve(app, ServerOptions(submissions_per_s=1.0)) as served:
        jobs = [{"name": "send"}] * 10
        first = await served.ask("POST", "/queues/mail/jobs/batch", json={"jobs": jobs})
        second = await served.ask("POST", "/queues/mail/jobs/batch", json={"jobs": jobs[:3]})
        other = await served.ask("GET", "/queues")

    assert (first.status_code, other.status_code) == (200, 200)
    assert second.status_code == 429
    assert second.headers["retry-after"] == "3"
    assert "more than 1 jobs a second" in second.json()["detail"]


async def test_error_of_the_server_shows_nothing_of_it(
    app: App, served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(App, "queues", broken)

    answer = await served.ask("GET", "/queues")

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text
