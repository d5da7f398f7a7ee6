"""The chat as it is deployed: its API, its worker, and real servers around them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from tests.support.example_site import ExampleSite
from tests.support.ports import give_back_port
from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint
from tests.support.s3_server import running_s3
from tests.support.server_thread import in_thread
from tests.support.smtp_process import SmtpProcess, smtp_process

from toril.services.objects.opening import open_objects
from toril.services.objects.port import ObjectStore

ROOT = Path(__file__).parents[3]
ADMIN_KEY = "an-administrator-of-the-tests-0123456789"
BUCKET = "chat"
PUSH, FILES, MAIL = "push-notifications", "file-processing", "email"


@dataclass
class User:
    """Somebody who signed up."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What their requests carry."""
        return {"authorization": f"Bearer {self.token}"}


@dataclass(kw_only=True)
class Deployment(ExampleSite):
    """What runs, and what a test does with it."""

    EXAMPLE = "examples.chat"
    SLOTS = "13"

    endpoint: PushEndpoint
    smtp: SmtpProcess

    def storage(self) -> ObjectStore:
        """Return the storage of files."""
        return open_objects(self.environment["STORAGE_URL"])

    def http(self, user: User | None = None) -> httpx2.AsyncClient:
        """Return a client of the API: of a user, else of the administrator."""
        headers = user.headers if user else {"authorization": f"Bearer {ADMIN_KEY}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def sign_up(self, name: str = "Jo", email: str = "jo@example.com") -> User:
        """Return a new user."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            answer = await http.post("/api/users", json={"name": name, "email": email})
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return User(body["user"]["id"], body["token"])

    async def browser(self, user: User) -> Browser:
        """Return a browser that a user has subscribed."""
        made = self.endpoint.browser()
        async with self.http(user) as http:
            answer = await http.post("/api/push/subscriptions", json=made.json)
        assert answer.status_code == 201, answer.text
        return made

    async def room(self, owner: User, *others: User, name: str = "Team") -> str:
        """Return the id of a new room."""
        async with self.http(owner) as http:
            body = {"name": name, "members": [user.id for user in others]}
            answer = await http.post("/api/rooms", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["room"]["id"])

    async def post(
        self, sender: User, room: str, content: str, kind: str = "text"
    ) -> httpx2.Response:
        """Post a message."""
        async with self.http(sender) as http:
            body = {"roomId": room, "content": content, "type": kind}
            return await http.post("/api/messages", json=body)

    async def upload(
        self, user: User, content: bytes, content_type: str, path: str = "/api/upload"
    ) -> dict[str, Any]:
        """Upload a file, and return what the chat answered."""
        async with self.http(user) as http:
            headers = {"content-type": content_type}
            answer = await http.post(path, content=content, headers=headers)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body


@contextmanager
def deployed(
    folder: Path, store: str, *, redis_url: str = "", postgres_url: str = ""
) -> Iterator[Deployment]:
    """Have servers run, and the settings of a chat for them; whoever needs API or worker starts it.

    Parameters:
        folder: Where it writes.
        store: `sqlite`: with a folder and a SQLite file. `redis`: with S3 and PostgreSQL.
        redis_url: Of `redis`.
        postgres_url: Of `redis`.
    """
    with ExitStack() as stack:
        endpoint = stack.enter_context(in_thread(push_endpoint))
        smtp = stack.enter_context(smtp_process(folder / "smtp"))
        environment = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TORIL_ADMIN_KEY": ADMIN_KEY,
            "EMAIL_FROM": "Chat <chat@example.com>",
            "SMTP_URL": smtp.url,
            "VAPID_PUBLIC_KEY": endpoint.keys.public_key,
            "VAPID_PRIVATE_KEY": endpoint.keys.private_key,
            "VAPID_SUBJECT": endpoint.keys.subject,
            "TORIL_EGRESS_ALLOW": "127.0.0.1",
            "PUSH_TIMEOUT": "4",
        }
        if store == "redis":
            s3 = stack.enter_context(running_s3(folder))
            s3.make_bucket(BUCKET)
            database = stack.enter_context(database_of_its_own(postgres_url))
            environment |= {
                "REDIS_URL": redis_url,
                "DATABASE_URL": database,
                "STORAGE_URL": f"s3://key:secret@{BUCKET}?endpoint={s3.url}&region=us-east-1",
            }
        else:
            environment |= {
                "TORIL_URL": f"sqlite:///{folder}/toril.db",
                "DATABASE_URL": f"sqlite:///{folder}/chat.db",
                "STORAGE_URL": f"file://{folder}/public",
            }
        made = Deployment(folder=folder, environment=environment, endpoint=endpoint, smtp=smtp)
        try:
            yield made
        finally:
            made.kill_all()
            give_back_port(made.port)


@contextmanager
def database_of_its_own(postgres_url: str) -> Iterator[str]:
    """Make a database on a server for a while."""
    name = f"chat_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{postgres_url.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def lines_of(log: str, job_id: str) -> list[str]:
    """Return the lines of a log that name a job."""
    # Toril's own lines begin with a time.
    ours = [line for line in log.splitlines() if not line[:1].isdigit()]
    return [line for line in ours if re.search(rf"job {job_id}\b", line, re.IGNORECASE)]
