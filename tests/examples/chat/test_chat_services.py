"""The chat's services: the only door to the queues, who is told of a message, and their logs."""

from __future__ import annotations

import ast
import io
import json
import logging
import tokenize
from pathlib import Path
from typing import Any

import pytest
from tests.examples.chat.deployment import PUSH, ROOT

from toril import App, InvalidPayloadError
from toril.observability.job_lines import LineFormatter

EXAMPLE = ROOT / "examples" / "chat"
DOOR = {"add", "add_many", "add_sync", "add_many_sync", "enqueue", "enqueue_many", "add_in"}


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, self.format(record)))


@pytest.fixture
def lines(services: Any) -> Lines:
    """What the chat logs."""
    handler = Lines()
    handler.setFormatter(LineFormatter())
    logging.getLogger("chat").addHandler(handler)
    return handler


async def room_of(services: Any, name: str, members: list[str]) -> str:
    """Make a room."""
    return str((await services.rooms.create(name, members))["id"])


async def jobs_of(app: App, event: str) -> list[Any]:
    """Return the jobs of one message."""
    states = ["wait", "prioritized", "active", "completed", "delayed", "failed"]
    page = await app.queue(PUSH).jobs(states, limit=1000, newest_first=True)
    return [job for job in page.jobs if job.id.startswith(event)]


def queues_used(path: Path) -> list[str]:
    """Return where a module adds to a queue: calls on `.queue(...)`, and of tasks."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            call = ast.unparse(node.func)
            direct = node.func.attr in DOOR and ".queue(" in call
            if direct or node.func.attr.startswith("enqueue") or "producer" in call:
                found.append(f"{path.name}:{node.lineno} {call}")
    return found


def test_only_the_service_adds_to_the_queues() -> None:
    """CH-31."""
    used = {path.name: queues_used(path) for path in EXAMPLE.glob("*.py")}

    assert [name for name, calls in used.items() if calls] == ["services.py"]
    tree = ast.parse((EXAMPLE / "services.py").read_text("utf-8"))
    service = next(
        one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "QueueService"
    )
    for call in used["services.py"]:
        line = int(call.split(":")[1].split()[0])
        assert service.lineno <= line <= (service.end_lineno or 0), call


def test_rule_of_the_door_sees_a_breach(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("await app.queue('email').add('send-email', {})\nawait send.enqueue('jo')\n")

    assert len(queues_used(path)) == 2


async def test_service_returns_the_job_and_logs_one_line(services: Any, lines: Lines) -> None:
    """CH-27, CH-28."""
    queues = services.get_service("queueService")
    payload = services.PushPayload(title="t", body="b")

    push = await queues.add_push_notification("u7", payload)
    file = await queues.add_video_processing("f7", "/uploads/f7", "u7")
    mail = await queues.add_email("somebody@example.com", "s", "<p>b</p>")

    told = [text for _, text in lines.lines]
    assert len(told) == 3
    assert all("'component': 'QueueService'" in text for text in told)
    assert f"Job {push.id} " in told[0]
    assert "'userId': 'u7'" in told[0]
    assert f"Job {file.id} " in told[1]
    assert "'fileId': 'f7'" in told[1]
    assert f"Job {mail.id} " in told[2]
    assert "'to': 's***@example.com'" in told[2]
    assert "somebody" not in "".join(told)


async def test_line_of_the_service_has_fields(
    services: Any, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_STYLE", "json")

    job = await services.get_service("queueService").add_email("jo@example.com", "s", "b")

    ((_, line),) = lines.lines
    told = json.loads(line)
    assert told.pop("message").startswith(f"Job {job.id} added to email")
    assert told == {"jobId": job.id, "component": "QueueService", "to": "j***@example.com"}


async def test_service_logs_one_error_line_and_raises(services: Any, lines: Lines) -> None:
    """CH-28."""
    queues = services.get_service("queueService")

    with pytest.raises(InvalidPayloadError):
        await queues.add_email("somebody@example.com", "s", 7)

    ((level, text),) = lines.lines
    assert level == logging.ERROR
    assert "'component': 'QueueService'" in text
    assert "s***@example.com" in text


async def test_container_gives_what_a_test_put_there(services: Any) -> None:
    """CH-30."""

    class Silent:
        async def create(self, *_: object) -> str:
            return "nothing"

    services.SERVICES["messageService"] = Silent()

    assert await services.get_service("messageService").create("r", "u", "c") == "nothing"
    assert type(services.get_service("queueService")).__name__ == "QueueService"


async def test_unknown_room_and_unknown_user_are_nobody(services: Any, lines: Lines) -> None:
    """CH-33, CH-37."""
    await services.told.send_push_notifications("no-room", "u1", "hello", "text")
    await services.get_service("userService").send_welcome_email("no-user")

    assert lines.lines == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text", "/uploads/a.jpg"), ("image", "sent a picture"), ("video", "sent a video"),
     ("sticker", "sent a file")],
)  # fmt: skip
async def test_body_by_type(app: App, services: Any, kind: str, body: str) -> None:
    """CH-35: a description in place of a path."""
    room = await room_of(services, "Team", ["a", "b"])

    message = await services.get_service("messageService").create(room, "a", "/uploads/a.jpg", kind)

    (job,) = await jobs_of(app, message["id"])
    assert job.data["payload"] == {
        "title": "New message in Team", "body": body, "url": f"/chat/{room}",
    }  # fmt: skip


async def test_room_is_told_by_one_call_and_a_large_one_by_batches(app: App, services: Any) -> None:
    """CH-34."""
    small = await room_of(services, "small", [f"s{n}" for n in range(101)])
    large = await room_of(services, "large", [f"l{n}" for n in range(102)])
    create = services.get_service("messageService").create

    to_small = await create(small, "s0", "c")
    to_large = await create(large, "l0", "c")

    assert len(await jobs_of(app, to_small["id"])) == 100
    (job,) = await jobs_of(app, to_large["id"])
    assert job.name == "push-notification-batch"
    assert len(job.data["users"]) == 101


async def test_room_is_told_once_of_a_message(app: App, services: Any) -> None:
    """CH-38: the ids are made of message and user."""
    room = await room_of(services, "Team", ["a", "b", "c"])
    for _ in range(3):
        await services.told.send_push_notifications(room, "a", "c", "text", message_id="m-once")

    assert sorted(job.id for job in await jobs_of(app, "m-once")) == ["m-once-b", "m-once-c"]


async def test_message_stays_if_nobody_can_be_told(services: Any, lines: Lines) -> None:
    """CH-36: the line names the message."""
    room = await room_of(services, "Team", ["a", "b"])
    await services.queues.app.close()
    services.queues.app.url = "sqlite:////no/such/folder/toril.db"

    message = await services.get_service("messageService").create(room, "a", "c")

    (row,) = await services.sql("SELECT * FROM chat_messages WHERE id = :id", id=message["id"])
    assert row["content"] == "c"
    assert any(
        level == logging.ERROR and f"Nobody was told of message {message['id']}" in text
        for level, text in lines.lines
    )


def test_styles_of_the_log(services: Any, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """CH-42."""
    for style in ("", "plain", "json"):
        monkeypatch.setenv("LOG_STYLE", style)
        services.lines.say("✅", "Job 7 completed", jobId="7")

    signs, plain, fields = [text for _, text in lines.lines]
    assert signs == "✅ Job 7 completed"
    assert plain == "Job 7 completed"
    assert json.loads(fields) == {"message": "Job 7 completed", "jobId": "7"}


def test_example_has_fewer_than_250_lines_and_uses_public_modules_only() -> None:
    """CR-28: lines of code, without blank ones, comments and docstrings."""
    total = 0
    for path in EXAMPLE.rglob("*.py"):
        text = path.read_text("utf-8")
        total += len(lines_of_code(text))
        for node in ast.walk(ast.parse(text)):
            names: list[str] = []
            if isinstance(node, ast.Attribute):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom):
                names = [*(node.module or "").split("."), *(one.name for one in node.names)]
            private = [name for name in names if name.startswith("_") and not name.startswith("__")]
            own = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
            assert own or not private, f"{path.name}: {private}"

    assert 150 < total < 250, f"{total} lines"


def lines_of_code(text: str) -> set[int]:
    """Return the lines that hold code."""
    found: set[int] = set()
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
               tokenize.ENDMARKER}  # fmt: skip
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in nothing:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return found


def test_count_takes_code_only() -> None:
    text = '"""A\nmodule."""\n\n# why\nx = (\n    1,  # one\n)\n'
    text += '\ndef f():\n    "Do."\n    y = """a\nb"""\n'

    assert sorted(lines_of_code(text)) == [5, 6, 7, 9, 11, 12]
