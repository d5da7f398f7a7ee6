"""The chat's own HTTP API, with the board and Toril's API beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.chat.services import add_file, get_service, prepare, rooms, sql
from examples.chat.worker import app, env, files, push, records
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.rest.bodies import Body
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.limits import read_body
from toril.web.problems import Problem
from toril.web.push_routes import push_routes
from toril.web.reading import read_json
from toril.web.site import site

access = AccessControl(app)


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


async def user_of(request: Request) -> str:
    """Return who asks: by the token of a session, or by a submitter's key and X-User-Id."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and (found := await sql("SELECT id FROM chat_users WHERE token = :t", t=token)):
        return str(found[0]["id"])
    caller, user = await access.identify(request), request.headers.get("x-user-id", "")
    if not user or not caller.may(Permission.SUBMIT, "push-notifications"):
        raise Problem(
            403, "forbidden", "a session's token is needed, or a submitter's and X-User-Id"
        )
    return user


async def add_user(request: Request) -> Response:
    """Sign somebody up."""
    new = read_json(NewUser, await request.body())
    return JSONResponse(await get_service("userService").sign_up(new.name, new.email), 201)


async def add_room(request: Request) -> Response:
    """Make a room."""
    user, new = await user_of(request), read_json(NewRoom, await request.body())
    return JSONResponse({"room": await rooms.create(new.name, [user, *new.members])}, 201)


async def add_message(request: Request) -> Response:
    """Post a message. That others are told of it is the service's business."""
    user, new = await user_of(request), read_json(NewMessage, await request.body())
    create = get_service("messageService").create
    return JSONResponse({"message": await create(new.room_id, user, new.content, new.type)})


async def upload(request: Request) -> Response:
    """Store a file, and have it worked on: a picture, a video or an avatar."""
    user, kind = await user_of(request), request.headers.get("content-type", "")
    is_avatar, queues = request.url.path.endswith("avatar"), get_service("queueService")
    most = 5_000_000 if is_avatar else 10_000_000
    content = await read_body(request.receive, max_bytes=most, timeout_s=60)
    add = queues.add_video_processing if kind.startswith("video/") else queues.add_image_processing
    add = queues.add_avatar_optimization if is_avatar else add
    file_id = await add_file(content, kind or None)
    url, job = f"/uploads/{file_id}", await add(file_id, f"/uploads/{file_id}", user)
    stored = {"fileId": file_id, "url": url, "fileSize": len(content), "fileType": kind}
    return JSONResponse({**stored, "processing": {"jobId": job.id, "status": "queued"}}, 201)


async def get_file(request: Request) -> Response:
    """Return what became of a file."""
    await user_of(request)
    record = await files.find(request.path_params["file_id"])
    if record is None:
        raise LookupError("there is no such file")
    return JSONResponse({"fileId": record.file_id, "processed": record.processed, **record.urls})


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Have the tables there, and let go of the databases."""
    await prepare()
    yield
    await push.close()
    await records.close()


posted = {"users": add_user, "rooms": add_room, "messages": add_message}
posted |= {"upload": upload, "users/avatar": upload}
routes = [Route(f"/api/{path}", answer, methods=["POST"]) for path, answer in posted.items()]
routes += [Route("/api/files/{file_id}", get_file), *push_routes(push, user_of=user_of)]
board = env.get("BOARD_PATH") or "/admin/queues"
chat = site(app, routes, access=access, board=board, lifespan=lifespan)
