"""Runs the chat: all of it in one process, with a round to look at; with the word `api`, its API.

Run:
    python -m examples.chat
    python -m examples.chat api      # beside it: toril worker examples.chat -c 13
"""

from importlib.resources import files

from toril.services.push.samples import SAMPLE_SUBSCRIPTION
from toril.web.running import run_program, run_site, write

HERE = """The chat, alone in this process. What takes time is done by jobs: telling people of
messages, making pictures smaller, sending mails. The board is at {0}/admin/queues."""


async def play(url: str) -> None:
    """Play a round: two users, a message, a picture, an avatar."""
    from examples.chat.services import get_service, rooms
    from examples.chat.worker import services

    write(HERE.format(url))
    users, queues = get_service("userService"), get_service("queueService")
    ann = (await users.sign_up("Ann", "ann@example.com"))["user"]["id"]
    bob = (await users.sign_up("Bob", "bob@example.com"))["user"]["id"]
    if services.push.settings.vapid is None:  # a push is a file then, and no browser is asked
        await services.push.subscriptions.add(bob, SAMPLE_SUBSCRIPTION)
    room = await rooms.create("Team", [ann, bob])
    await get_service("messageService").create(room["id"], ann, "Noon?")
    photo = files("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    for add, user in ((queues.add_image_processing, ann), (queues.add_avatar_optimization, bob)):
        stored = await services.uploads.add(photo, content_type="image/jpeg")
        await add(stored.file_id, f"/{stored.path}", user)


async def main(alone: bool) -> None:
    """Serve until told to stop; alone and without a terminal, until the round is over."""
    from examples.chat.app import access, chat
    from examples.chat.worker import app

    at_once, show = (13, play) if alone else (None, None)
    await run_site(chat, app, port=3001, access=access, concurrency=at_once, show=show)


if __name__ == "__main__":
    run_program(main, folder="chat-demo", settings={"EMAIL_FROM": "Chat <chat@example.com>"})
