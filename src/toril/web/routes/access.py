"""Routes about who may ask: keys, users, and sessions of browsers."""

from __future__ import annotations

from starlette.responses import Response

from toril.rest.answers import Done, KeyLine, Me, NewKey, Page, UserLine
from toril.rest.bodies import (
    Act,
    KeyBody,
    ListQuery,
    PasswordBody,
    RemoveUserQuery,
    RightsBody,
    SignInBody,
    UserBody,
)
from toril.web.access.control import AccessControl
from toril.web.access.keys import Keys
from toril.web.access.port import Permission
from toril.web.access.users import UserInfo, Users
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.encoding import encode
from toril.web.me import me_of
from toril.web.problems import Problem

routes = Routes("access")


@routes.get("/keys", Permission.ADMIN)
async def list_keys(call: Call, query: ListQuery) -> Page[KeyLine]:
    """List the keys, without their secrets. The one of the settings is not among them."""
    return Page(
        [
            KeyLine(
                name=key.name,
                role=key.role,
                queues=None if key.queues is None else list(key.queues),
                payloads=key.payloads,
                created_at=key.created_at,
                expires_at=key.expires_at,
                expired=key.expired,
            )
            for key in await Keys(call.app).list()
        ]
    )


@routes.post("/keys", Permission.ADMIN)
async def add_key(call: Call, body: KeyBody) -> NewKey:
    """Make a key. The answer shows it once."""
    key = await Keys(call.app).add(
        body.name,
        role=body.role,
        queues=body.queues,
        payloads=body.payloads,
        expires=body.expires_s,
    )
    return NewKey(name=body.name, key=key)


@routes.delete("/keys/{name}", Permission.ADMIN)
async def remove_key(call: Call, name: str) -> Done:
    """Forget a key. Its next request is refused."""
    if not await Keys(call.app).remove(name):
        raise Problem(404, "key_not_found", f"no key {name!r}: GET /keys lists those there are")
    call.live.ask_again()
    return Done(count=1)


@routes.get("/users", Permission.ADMIN)
async def list_users(call: Call, query: ListQuery) -> Page[UserLine]:
    """List the users, without their passwords."""
    return Page([_user_line(user) for user in await Users(call.app).list()])


@routes.post("/users", Permission.ADMIN)
async def add_user(call: Call, body: UserBody) -> Done:
    """Add a user, who signs in with a browser."""
    await Users(call.app).add(
        body.name, body.password, role=body.role, queues=body.queues, payloads=body.payloads
    )
    return Done(count=1)


@routes.patch("/users/{name}", Permission.ADMIN, errors=(409,))
async def change_user(call: Call, name: str, body: RightsBody) -> UserLine:
    """Give a user other rights. The user's sessions have them with the next request.

    The last user who is an administrator for all queues stays one.
    """
    changed = await Users(call.app).change(
        name, role=body.role, queues=body.queues, payloads=body.payloads, version=body.version
    )
    if changed is None:
        raise _no_user(name)
    call.live.ask_again()
    return _user_line(changed)


@routes.put("/users/{name}/password", Permission.ADMIN)
async def set_password(call: Call, name: str, body: PasswordBody) -> Done:
    """Give a user another password. All sessions of the user end."""
    if not await Users(call.app).set_password(name, body.password):
        raise _no_user(name)
    call.live.ask_again()
    return Done(count=1)


@routes.delete("/users/{name}", Permission.ADMIN, errors=(409,))
async def remove_user(call: Call, name: str, query: RemoveUserQuery) -> Done:
    """Forget a user. All sessions of the user end.

    The last user who is an administrator for all queues stays, unless `last` is given.
    """
    if not await Users(call.app).remove(name, last=query.last):
        raise _no_user(name)
    call.live.ask_again()
    return Done(count=1)


@routes.post("/session", permission=None, errors=(401, 403, 404, 429))
async def sign_in(call: Call, body: SignInBody) -> Me:
    """Begin a session of a browser: with name and password, or with a key.

    The answer sets the cookie.
    """
    sessions = _control(call).sessions
    if body.key is not None:
        begun = await sessions.sign_in_with_key(call.connection, body.key)
    elif body.name is not None and body.password is not None:
        begun = await sessions.sign_in(call.connection, body.name, body.password)
    else:
        raise Problem(422, "missing_field", "give name and password, or a key", field="name")
    content = encode(me_of(begun.principal))
    headers = {"set-cookie": begun.set_cookie, "cache-control": "no-store"}
    return Response(content, headers=headers, media_type="application/json")  # type: ignore[return-value] # with a cookie


@routes.post("/session/end", permission=None, errors=(403, 404))
async def sign_out(call: Call, body: Act) -> Done:
    """End the session of the browser that asks."""
    cookie = await _control(call).sessions.sign_out(call.connection)
    headers = {"set-cookie": cookie, "cache-control": "no-store"}
    return Response(encode(Done(count=1)), headers=headers, media_type="application/json")  # type: ignore[return-value] # with a cookie


def _control(call: Call) -> AccessControl:
    if not isinstance(call.access, AccessControl):
        raise Problem(404, "no_sessions", "this server has no sessions: it asks nobody for a key")
    return call.access


def _user_line(user: UserInfo) -> UserLine:
    return UserLine(
        name=user.name,
        role=user.role,
        queues=None if user.queues is None else list(user.queues),
        payloads=user.payloads,
        created_at=user.created_at,
        version=user.version,
    )


def _no_user(name: str) -> Problem:
    return Problem(404, "user_not_found", f"no user {name!r}: GET /users lists those there are")
