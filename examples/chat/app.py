"""The chat's own HTTP API, with the board and Toril's API beside it."""

from pathlib import Path
from typing import Any

from examples.chat.services import get_service, rooms
from examples.chat.worker import EMAIL, FILE_PROCESSING, PUSH_NOTIFICATIONS, app, env, services

from toril.rest.bodies import Body
from toril.web.access.control import AccessControl
from toril.web.push_routes import push_routes
from toril.web.site import site
from toril.web.totals_route import totals_route
from toril.web.upload_routes import Uploaded, file_route, processing, upload_route
from toril.web.user_routes import UserRoutes, user_of

access = AccessControl(app)
user = user_of(access, get_service("userService").find_by_token, queue=PUSH_NOTIFICATIONS)
posts = UserRoutes(user)


class NewUser(Body, kw_only=True, frozen=True):
    """Who signs up."""

    name: str
    email: str


class NewRoom(Body, kw_only=True, frozen=True):
    """A room; who makes it is a member."""

    name: str
    members: tuple[str, ...] = ()


class NewMessage(Body, kw_only=True, frozen=True, rename="camel"):
    """A message."""

    room_id: str
    content: str
    type: str = "text"


@posts.post("/api/users", NewUser, status=201, anybody=True)
async def add_user(_: str, new: NewUser) -> dict[str, Any]:
    """Sign somebody up."""
    return dict(await get_service("userService").sign_up(new.name, new.email))


@posts.post("/api/rooms", NewRoom, status=201)
async def add_room(user_id: str, new: NewRoom) -> dict[str, Any]:
    """Make a room."""
    return {"room": await rooms.create(new.name, [user_id, *new.members])}


@posts.post("/api/messages", NewMessage, pace=env.get("MESSAGE_RATE"))
async def add_message(user_id: str, new: NewMessage) -> dict[str, Any]:
    """Post a message. That others are told of it is the service's business."""
    create = get_service("messageService").create
    return {"message": await create(new.room_id, user_id, new.content, new.type)}


async def work_on(file: Uploaded) -> dict[str, Any]:
    """Have a picture or a video worked on."""
    queues, is_video = get_service("queueService"), file.content_type.startswith("video/")
    add = queues.add_video_processing if is_video else queues.add_image_processing
    return processing(await add(file.file_id, file.path, file.user))


async def avatar(file: Uploaded) -> dict[str, Any]:
    """Have an avatar made in its sizes."""
    add = get_service("queueService").add_avatar_optimization
    job = await add(file.file_id, file.path, file.user)
    return {"avatar": file.path, "message": "Your avatar is being made.", **processing(job)}


stored, files, schema = services.uploads, services.files, Path(__file__).parent / "schema.sql"
routes = [*posts.made, *push_routes(services.push, user_of=user), file_route(files, user_of=user)]
routes.append(upload_route("/api/upload", stored, work_on, user_of=user, max_bytes=10_000_000))
routes.append(upload_route("/api/users/avatar", stored, avatar, user_of=user, max_bytes=5_000_000))
names = {"pushNotifications": PUSH_NOTIFICATIONS, "fileProcessing": FILE_PROCESSING, "email": EMAIL}
routes.append(totals_route("/api/queues/stats", app, names, access=access))
chat = site(app, routes, access=access, board=env.get("BOARD_PATH"), lifespan=services.open(schema))
