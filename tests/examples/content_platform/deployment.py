"""The content platform as it is deployed: its API, its workers, and real servers around them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import sqlalchemy as sa
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from tests.examples.chat.deployment import database_of_its_own
from tests.services.pictures import encode, exif
from tests.support import messengers as shapes
from tests.support.example_site import ExampleSite
from tests.support.messengers import Provider, provider
from tests.support.ports import give_back_port, reserve_port
from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint
from tests.support.s3_server import running_s3
from tests.support.server_thread import in_thread
from tests.support.smtp_server import Inbox, receiving
from tests.support.waiting import wait_until
from websockets.asyncio.client import ClientConnection, connect

from toril import App
from toril.library.push import PushService, PushSettings
from toril.services.notices.sql import SqlNotices
from toril.services.objects.errors import ObjectMissingError
from toril.services.objects.opening import open_objects
from toril.services.objects.sync import SyncObjects
from toril.services.records.records import Records

ROOT = Path(__file__).parents[3]
ADMIN_KEY = "an-administrator-of-the-tests-0123456789"
BUCKET = "media"
BASE = "/api/admin"
PROCESSING, SYNC, WATERMARK, NOTIFY = "media-processing", "media-sync", "watermark", "notifications"
QUEUES = (PROCESSING, SYNC, WATERMARK, NOTIFY)
START_S = 120.0
T = TypeVar("T")


def camera_photo(width_px: int = 4000, height_px: int = 3000) -> bytes:
    """Return a JPEG as a camera writes it: turned, with its place and its maker.

    Upright it is as wide as `height_px`; its upper left corner is red.
    """
    stored = Image.new("RGB", (width_px, height_px), (40, 90, 160))
    # Orientation 6: what is upper left when upright lies lower left in the file.
    stored.paste((220, 30, 30), (0, height_px // 2, width_px // 2, height_px))
    return encode(stored, "JPEG", quality=90, exif=exif(6, gps=True))


@dataclass(kw_only=True)
class Deployment(ExampleSite):
    """What runs, and what a test does with it."""

    EXAMPLE = "examples.content_platform"
    SLOTS = "23"

    inbox: Inbox
    push: PushEndpoint
    telegram: Provider
    sms: Provider
    board_port: int = 0

    @property
    def board_url(self) -> str:
        """Where the board is."""
        return f"http://127.0.0.1:{self.board_port}"

    @property
    def media_root(self) -> Path:
        """Where variants are."""
        return self.folder / "data/public/uploads"

    def objects(self) -> dict[str, bytes]:
        """Return what is in the bucket, read by a client of its own."""
        store = SyncObjects(open_objects(self.environment["STORAGE_URL"]))
        try:
            found = {}
            for entry in store.list("").entries:
                with suppress(ObjectMissingError):  # it was removed meanwhile
                    found[entry.key] = store.read(entry.key, 1 << 24)
            return found
        finally:
            store.close()

    def files(self, media_id: str) -> dict[str, bytes]:
        """Return the variants of a media that are on the disk."""
        found = self.media_root.glob(f"*/{media_id}/*.webp")
        return {str(path.relative_to(self.media_root)): path.read_bytes() for path in found}

    def ports(self) -> Mapping[str, str]:
        """Return the variables of its ports, which it keeps when it is started again."""
        self.board_port = self.board_port or reserve_port()
        return {**super().ports(), "BOARD_PORT": str(self.board_port)}

    def log(self, name: str = "api") -> str:
        """Return what a process has written."""
        return super().log(name)

    def http(self, key: str | None = ADMIN_KEY) -> httpx2.AsyncClient:
        """Return a client of the API."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request as the administrator; return the answer."""
        async with self.http() as http:
            return await http.request(method, f"{BASE}{path}", json=body)

    async def upload(
        self, content: bytes, entity_type: str = "company_photo", name: str = "a.jpg", **more: str
    ) -> str:
        """Upload a file; return the id of its job."""
        async with self.http() as http:
            answer = await http.post(
                f"{BASE}/media/upload-async",
                files={"file": (name, content, "image/jpeg")},
                data={"entityType": entity_type, **more},
            )
        assert answer.status_code == 202, answer.text
        body = answer.json()
        assert (body["queue"], body["status"]) == (PROCESSING, "queued")
        return str(body["jobId"])

    async def media(self, app: App, **more: Any) -> str:
        """Upload a photograph, and return the id of its media once it is in the bucket."""
        job_id = await self.upload(more.pop("content", camera_photo(400, 300)), **more)
        done = await self.job(app, PROCESSING, job_id)
        assert done.state == "completed", done.failed_reason
        media_id = str(done.result["mediaId"])
        await self.synced(media_id)
        return media_id

    async def synced(self, media_id: str) -> None:
        """Return once the bucket holds what the disk does."""

        async def same() -> bool:
            here, there = self.files(media_id), await asyncio.to_thread(self.objects)
            return here != {} and here == {
                key: content for key, content in there.items() if f"/{media_id}/" in key
            }

        await wait_until(same, what=f"{media_id} in the bucket; {self.log('worker')[-2000:]}")

    async def browser_of(self, user_id: str) -> Browser:
        """Return a browser that has subscribed to a user's pushes."""
        browser = self.push.browser("chrome")
        url = self.environment.get("DATABASE_URL", f"sqlite:///{self.folder}/data/records.db")
        settings = PushSettings.from_environment({**self.environment, "PUSH_DATABASE_URL": url})
        async with PushService(settings) as pushes:
            await pushes.subscribe(user_id, browser.json)
        return browser

    async def notices_of(self, user_id: str) -> list[str]:
        """Return the titles of a user's in-app notices."""
        url = self.environment.get("DATABASE_URL", f"sqlite:///{self.folder}/data/records.db")
        records = Records(url)
        found = await SqlNotices(records).of_user(user_id, limit=100)
        await records.close()
        return [one.title for one in found]

    async def age(self, media_id: str, *, days: int) -> None:
        """Move the moment when a media was soft-deleted."""
        url = self.environment.get("DATABASE_URL", f"sqlite:///{self.folder}/data/records.db")
        records = Records(url)
        aged = sa.text("UPDATE toril_media SET deleted_at_ms = deleted_at_ms - :ms WHERE id = :id")
        async with records.begin() as connection:
            await connection.execute(aged, {"ms": days * 86_400_000, "id": media_id})
        await records.close()

    async def figures(self) -> dict[str, Any]:
        """Return the families of /metrics by name, as the official parser reads them."""
        async with self.http() as http:
            answer = await http.get("/metrics")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        return {family.name: family for family in text_string_to_metric_families(answer.text)}

    def listen(self, key: str = ADMIN_KEY, query: str = "") -> Any:
        """Return a connection to the WebSocket, to be entered."""
        headers = {"authorization": f"Bearer {key}"}
        url = f"ws://127.0.0.1:{self.port}/ws/media{query}"
        return connect(url, additional_headers=headers)


async def message(socket: ClientConnection, job_id: str) -> dict[str, Any]:
    """Return the message about a job."""
    async with asyncio.timeout(90):
        while True:
            found: dict[str, Any] = json.loads(await socket.recv())
            if found["jobId"] == job_id:
                return found


@contextmanager
def deployed(
    folder: Path, store: str, *, redis_url: str = "", postgres_url: str = ""
) -> Iterator[Deployment]:
    """Have servers run, and the settings of a platform for them.

    Parameters:
        folder: Where it writes.
        store: `sqlite`: with a folder and a SQLite file. `redis`: with S3 and PostgreSQL.
        redis_url: Of `redis`.
        postgres_url: Of `redis`.
    """
    marks = folder / "marks"
    marks.mkdir()
    mark = Image.new("RGBA", (60, 30), (255, 0, 255, 255))
    (marks / "wm-logo.png").write_bytes(encode(mark, "PNG"))
    with ExitStack() as stack:
        push = stack.enter_context(in_thread(push_endpoint))
        telegram = stack.enter_context(in_thread(lambda: provider("telegram")))
        sms = stack.enter_context(in_thread(lambda: provider("twilio")))
        inbox = stack.enter_context(receiving())
        environment = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(folder / "data"),
            "TORIL_ADMIN_KEY": ADMIN_KEY,
            "TORIL_EGRESS_ALLOW": "127.0.0.1",
            "SMTP_URL": inbox.url,
            "EMAIL_FROM": "Media <media@example.com>",
            "VAPID_PUBLIC_KEY": push.keys.public_key,
            "VAPID_PRIVATE_KEY": push.keys.private_key,
            "VAPID_SUBJECT": push.keys.subject,
            "TELEGRAM_BOT_TOKEN": shapes.BOT_TOKEN,
            "TELEGRAM_API_BASE": telegram.server.url(""),
            "SMS_PROVIDER": "twilio",
            "SMS_API_BASE": sms.server.url(""),
            "SMS_API_KEY": shapes.TWILIO_KEY,
            "SMS_FROM": shapes.SENDER,
            "WATERMARK_DIR": str(marks),
            "MEDIA_MAX_BYTES": "6000000",
            "S3_ENABLED": "yes",
        }
        if store == "redis":
            s3 = stack.enter_context(running_s3(folder))
            s3.make_bucket(BUCKET)
            environment |= {
                "REDIS_URL": redis_url,
                "DATABASE_URL": stack.enter_context(database_of_its_own(postgres_url)),
                "STORAGE_URL": f"s3://key:secret@{BUCKET}?endpoint={s3.url}&region=us-east-1",
            }
        else:
            environment |= {
                "TORIL_URL": f"sqlite:///{folder}/toril.db",
                "STORAGE_URL": f"file://{folder}/objects",
            }
        made = Deployment(
            folder=folder, environment=environment, inbox=inbox, push=push,
            telegram=telegram, sms=sms,
        )  # fmt: skip
        try:
            yield made
        finally:
            made.kill_all()
            give_back_port(made.port)
            give_back_port(made.board_port)


def picture(content: bytes) -> Image.Image:
    """Decode a file."""
    return Image.open(io.BytesIO(content)).convert("RGB")
