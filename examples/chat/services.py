"""The chat's services, by name in a small container: `get_service("queueService")`."""

import html
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partialmethod
from typing import Any

from examples.chat.worker import lines, services

from examples.chat import worker as queues
from toril import App, Job, JobOptions, TorilError
from toril.library.push import PushPayload, PushService, batches
from toril.observability.job_lines import JobLines

sql, value = services.records.run, services.records.value
Options = JobOptions | None
Adding = Awaitable[Job[Any]]
Many = Awaitable[list[Job[Any]]]
Row = dict[str, Any]
BATCH_OVER = 100
"""Rooms of more recipients are told by batch jobs."""
SHOWN = {"image": "sent a picture", "video": "sent a video", "audio": "sent a voice message"}


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

    def add_push_notifications(self, users: list[str], payload: Any, event: str) -> Many:
        """Tell many users of an event by one call; each once, however often it is called."""
        jobs = {user: {"userId": user, "payload": payload} for user in users}
        return self._event(queues.PUSH_NOTIFICATION, event, jobs)

    def add_batch_push_notification(self, users: list[str], payload: Any, event: str = "") -> Many:
        """Tell many users by jobs of 500."""
        jobs = {f"batch-{n}": data for n, data in enumerate(batches(users, payload))}
        return self._event(queues.PUSH_NOTIFICATION_BATCH, event or secrets.token_hex(8), jobs)

    def _event(self, name: str, event: str, jobs: Row) -> Many:
        ids = {key: JobOptions(job_id=f"{event}-{key}", priority=1) for key in jobs}
        queue, named = queues.PUSH_NOTIFICATIONS, [(name, jobs[key], ids[key]) for key in jobs]
        adding = self.app.queue(queue).add_many(named)
        return self.logger.added(adding, queue, [*jobs.values()], component="QueueService")

    def _one(self, queue: str, name: str, data: Row, options: Options) -> Adding:
        adding = self.app.queue(queue).add(name, data, options)
        return self.logger.added_one(adding, queue, data, component="QueueService")


class RoomRepository:
    """Rooms and their members."""

    async def find(self, room_id: str) -> Row | None:
        """Return a room with the ids of its members."""
        join = "SELECT * FROM chat_rooms JOIN chat_members ON room_id = id WHERE id = :id"
        rows = await sql(join, id=room_id)
        members = sorted(row["user_id"] for row in rows)
        return {"id": room_id, "name": rows[0]["name"], "members": members} if rows else None

    async def create(self, name: str, members: list[str]) -> Row:
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
        title = f"New message in {room['name']}"
        body = content if type == "text" else SHOWN.get(type, "sent a file")
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

    async def create(self, room_id: str, sender_id: str, content: str, type: str = "text") -> Row:
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
        message = {"id": secrets.token_hex(8), "roomId": room_id, "senderId": sender_id}
        message |= {"content": content, "type": type, "createdAt": datetime.now(UTC).isoformat()}
        await sql(f"INSERT INTO chat_messages VALUES (:{', :'.join(message)})", **message)
        try:
            notify = self.notifications.send_push_notifications
            await notify(room_id, sender_id, content, type, message["id"])
        except TorilError as error:
            lines.fail(f"Nobody was told of message {message['id']}: {error}")
        return message


@dataclass
class UserService:
    """Signs users up."""

    queue_service: QueueService

    async def find_by_token(self, token: str) -> Any:
        """Return the id of the user whose session it is; None: nobody's."""
        return await value("SELECT id FROM chat_users WHERE token = :token", token=token)

    async def sign_up(self, name: str, email: str) -> Row:
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


rooms, door = RoomRepository(), QueueService(queues.app, lines)
told = MessageNotificationService(rooms, door, lines, services.push)
SERVICES: dict[str, Any] = {"queueService": door, "userService": UserService(door)}
SERVICES["messageService"] = MessageService(rooms, told)


def get_service(name: str) -> Any:
    """Return a service by its name. Tests put others into `SERVICES`."""
    return SERVICES[name]
