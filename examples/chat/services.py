"""The chat's services, by name in a small container: `get_service("queueService")`."""

import html
import logging
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from examples.chat.worker import lines, records

from examples.chat import worker as queues
from toril import App, Job, JobOptions, TorilError
from toril.library.push import PushPayload, PushService
from toril.library.push.payloads import batches
from toril.observability.job_lines import JobLines
from toril.services.media.file_records import FileRecord

Options = JobOptions | None
Adding = Awaitable[Job[Any]]
BATCH_OVER = 100
"""Rooms of more recipients are told by batch jobs."""
SHOWN = {"image": "sent a picture", "video": "sent a video", "audio": "sent a voice message"}


async def sql(text: str, **values: Any) -> list[dict[str, Any]]:
    """Run a statement, and return the rows that it reads."""
    open_it = records.reading if text.startswith("SELECT") else records.begin
    async with open_it() as connection:
        done = await connection.execute(sa.text(text), values)
        return [dict(row) for row in done.mappings()] if done.returns_rows else []


async def prepare() -> None:
    """Make the tables that are not there."""
    for statement in (Path(__file__).parent / "schema.sql").read_text().split(";\n"):
        await sql(statement)


async def add_file(content: bytes, content_type: str | None) -> str:
    """Store a file and its record, and return its id; its path is `/uploads/{id}`."""
    file_id = secrets.token_hex(8)
    await queues.media.objects.put(f"uploads/{file_id}", content, content_type=content_type)
    await queues.files.add(FileRecord(file_id=file_id, path=f"uploads/{file_id}"))
    return file_id


@dataclass
class QueueService:
    """The only door to the queues. Options that are given go before those of the queue."""

    app: App
    logger: JobLines

    def add_push_notification(self, user_id: str, payload: Any, options: Options = None) -> Adding:
        """Tell the browsers of a user."""
        data = {"userId": user_id, "payload": payload}
        return self._one(queues.PUSH_NOTIFICATIONS, queues.PUSH_NOTIFICATION, data, options)

    def add_email(self, to: str, subject: str, body: str, options: Options = None) -> Adding:
        """Send a mail; its body is HTML."""
        data = {"to": to, "subject": subject, "body": body}
        return self._one(queues.EMAIL, queues.SEND_EMAIL, data, options)

    def _file(self, name: str, file: str, path: str, user: str, options: Options = None) -> Adding:
        data = {"fileId": file, "filePath": path, "userId": user}
        return self._one(queues.FILE_PROCESSING, name, data, options)

    add_image_processing = partialmethod(_file, queues.PROCESS_IMAGE)
    add_video_processing = partialmethod(_file, queues.PROCESS_VIDEO)
    add_avatar_optimization = partialmethod(_file, queues.OPTIMIZE_AVATAR)

    def add_push_notifications(
        self, users: Sequence[str], payload: PushPayload, event_id: str
    ) -> Awaitable[list[Job[Any]]]:
        """Tell many users of an event by one call; each once, however often it is called."""
        jobs = {user: {"userId": user, "payload": payload} for user in users}
        return self._event(queues.PUSH_NOTIFICATION, event_id, jobs)

    def add_batch_push_notification(
        self, users: Sequence[str], payload: PushPayload, event_id: str = ""
    ) -> Awaitable[list[Job[Any]]]:
        """Tell many users by jobs of 500."""
        jobs = {f"batch-{n}": data for n, data in enumerate(batches(users, payload))}
        return self._event(queues.PUSH_NOTIFICATION_BATCH, event_id or secrets.token_hex(8), jobs)

    async def _event(self, name: str, event: str, jobs: dict[str, Any]) -> list[Job[Any]]:
        named = [
            (name, data, JobOptions(job_id=f"{event}-{key}", priority=1))
            for key, data in jobs.items()
        ]
        return await self._add(queues.PUSH_NOTIFICATIONS, named)

    async def _one(self, queue: str, name: str, data: Any, options: Options) -> Job[Any]:
        return (await self._add(queue, [(name, data, options)]))[0]

    async def _add(self, queue: str, jobs: list[Any]) -> list[Job[Any]]:
        adding, payloads = self.app.queue(queue).add_many(jobs), [data for _, data, _ in jobs]
        return await self.logger.added(adding, queue, payloads, component="QueueService")


class RoomRepository:
    """Rooms and their members."""

    async def find(self, room_id: str) -> dict[str, Any] | None:
        """Return a room with the ids of its members."""
        join = "SELECT * FROM chat_rooms JOIN chat_members ON room_id = id WHERE id = :id"
        rows = await sql(join, id=room_id)
        members = sorted(row["user_id"] for row in rows)
        return {"id": room_id, "name": rows[0]["name"], "members": members} if rows else None

    async def create(self, name: str, members: Sequence[str]) -> dict[str, Any]:
        """Make a room."""
        room = {"id": secrets.token_hex(8), "name": name}
        await sql("INSERT INTO chat_rooms VALUES (:id, :name)", **room)
        for user in dict.fromkeys(members):
            await sql("INSERT INTO chat_members VALUES (:room, :user)", room=room["id"], user=user)
        return {**room, "members": list(members)}


@dataclass
class MessageNotificationService:
    """Tells the members of a room of a message."""

    rooms: RoomRepository
    queue_service: QueueService
    logger: JobLines
    push_service: PushService

    async def send_push_notifications(
        self, room_id: str, sender_id: str, content: str, type: str, message_id: str = ""
    ) -> None:
        """Tell all members but the sender; nobody if there is no such room."""
        room = await self.rooms.find(room_id) or {"members": [], "name": ""}
        others = [user for user in room["members"] if user != sender_id]
        body = content if type == "text" else SHOWN.get(type, "sent a file")
        title = f"New message in {room['name']}"
        payload = PushPayload(title=title, body=body, url=f"/chat/{room_id}")
        add = self.queue_service.add_push_notifications
        if len(others) > BATCH_OVER:
            add = self.queue_service.add_batch_push_notification
        if others:
            await add(others, payload, message_id or secrets.token_hex(8))


@dataclass
class MessageService:
    """Stores messages, and has others told of them."""

    rooms: RoomRepository
    notifications: MessageNotificationService

    async def create(
        self, room_id: str, sender_id: str, content: str, type: str = "text"
    ) -> dict[str, Any]:
        """Store a message. It stays even if nobody could be told of it.

        Raises:
            LookupError: There is no such room.
            PermissionError: The sender is no member.
        """
        room = await self.rooms.find(room_id)
        if room is None:
            raise LookupError(f"roomId={room_id!r}: there is no such room")
        if sender_id not in room["members"]:
            raise PermissionError(f"roomId={room_id!r}: only members write there")
        names = ("id", "roomId", "senderId", "content", "type", "createdAt")
        now = datetime.now(UTC).isoformat()
        values = (secrets.token_hex(8), room_id, sender_id, content, type, now)
        message = dict(zip(names, values, strict=True))
        await sql(f"INSERT INTO chat_messages VALUES (:{', :'.join(names)})", **message)
        try:
            notify = self.notifications.send_push_notifications
            await notify(room_id, sender_id, content, type, message["id"])
        except TorilError as error:
            lines.say("❌", f"Nobody was told of message {message['id']}: {error}", logging.ERROR)
        return message


@dataclass
class UserService:
    """Signs users up."""

    queue_service: QueueService

    async def sign_up(self, name: str, email: str) -> dict[str, Any]:
        """Return a new user, with the token of a session."""
        user = {"id": secrets.token_hex(8), "name": name, "email": email}
        token = secrets.token_urlsafe(24)
        text = "INSERT INTO chat_users VALUES (:id, :name, :email, :token, NULL)"
        await sql(text, **user, token=token)
        await self.send_welcome_email(user["id"])
        return {"user": user, "token": token}

    async def send_welcome_email(self, user_id: str) -> None:
        """Welcome a user by mail; nothing happens if there is none."""
        for user in await sql("SELECT name, email FROM chat_users WHERE id = :id", id=user_id):
            body = f"<h1>Welcome, {html.escape(user['name'])}!</h1><p>Thank you for joining.</p>"
            await self.queue_service.add_email(user["email"], "Welcome to Synapse!", body)
            lines.say("📧", f"Welcome mail for user {user_id} added", userId=user_id)


rooms, queue_service = RoomRepository(), QueueService(queues.app, lines)
told = MessageNotificationService(rooms, queue_service, lines, queues.push)
SERVICES: dict[str, Any] = {"queueService": queue_service}
SERVICES["messageService"] = MessageService(rooms, told)
SERVICES["userService"] = UserService(queue_service)


def get_service(name: str) -> Any:
    """Return a service by its name. Tests put others into `SERVICES`."""
    return SERVICES[name]
