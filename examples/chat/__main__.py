"""Runs the chat: all of it in one process, with a round to look at; with the word `api`, its API.

Run:
    python -m examples.chat
    python -m examples.chat api      # beside it: toril worker examples.chat.worker -c 13
"""

import asyncio
import os
import sys
from importlib.resources import files
from pathlib import Path

from toril import TorilError

AUTH = "BTBZMqHH6r4Tts7J_aSIgg"  # and the key of a browser: the example of RFC 8291
KEY = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
HERE = """The chat, in this process alone: API, worker and board. What takes time is done by jobs:
it tells people of messages, makes pictures smaller, and sends mails. Its files are in {0}:
pushes in push, mails in mail, pictures in public. The board is at {1}/admin/queues."""


async def play(url: str) -> None:
    """Play a round: two users, a message, a picture, an avatar."""
    from examples.chat.services import add_file, get_service, rooms
    from examples.chat.worker import push

    print(HERE.format(Path.cwd(), url), flush=True)
    users, queues = get_service("userService"), get_service("queueService")
    ann = (await users.sign_up("Ann", "ann@example.com"))["user"]["id"]
    bob = (await users.sign_up("Bob", "bob@example.com"))["user"]["id"]
    if push.settings.vapid is None:  # a push is a file then, and no browser is asked
        browser = {"endpoint": "https://push.example/1", "keys": {"p256dh": KEY, "auth": AUTH}}
        await push.subscribe(bob, browser)
    room = await rooms.create("Team", [ann, bob])
    await get_service("messageService").create(room["id"], ann, "Noon?")
    photo = files("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    for add, user in ((queues.add_image_processing, ann), (queues.add_avatar_optimization, bob)):
        file_id = await add_file(photo, "image/jpeg")
        await add(file_id, f"/uploads/{file_id}", user)


async def main(alone: bool) -> None:
    """Serve until told to stop; alone and without a terminal, until the round is over."""
    from examples.chat.app import access, chat
    from examples.chat.worker import app

    from toril.web.running import run_site

    at_once, show = (13, play) if alone else (None, None)
    await run_site(chat, app, port=3001, access=access, concurrency=at_once, show=show)


if __name__ == "__main__":
    alone = sys.argv[1:] != ["api"]
    if alone:
        os.environ.setdefault("EMAIL_FROM", "Chat <chat@example.com>")
        os.environ.setdefault("TORIL_EGRESS_ALLOW", "push.example")
        Path("chat-demo").mkdir(exist_ok=True)
        os.chdir("chat-demo")
    try:
        asyncio.run(main(alone))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
