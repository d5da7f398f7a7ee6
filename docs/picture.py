"""Makes `docs/terminal.svg`, the picture of the README, from commands that are run for it.

Run from the root of the repository: `.venv/bin/python docs/picture.py`. A shop with three queues is
worked for some seconds by a real worker; what two commands print in a terminal becomes the picture.
It loads nothing from elsewhere, and has a background of its own for light and dark pages.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).with_name("terminal.svg")
COLUMNS, LINES = 84, 30
BUSY_S = 8.0
"""How long the worker works before somebody looks: rates are means of 5 s."""
THEME = TerminalTheme(
    (30, 30, 36),
    (222, 220, 215),
    [
        (30, 30, 36), (224, 108, 117), (152, 195, 121), (229, 192, 123),
        (97, 175, 239), (198, 120, 221), (86, 182, 194), (222, 220, 215),
    ],
)  # fmt: skip
SHOP = """
import asyncio
import random

from toril import App, RetryPolicy

app = App()


@app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
async def send_receipt(order: int) -> str:
    await asyncio.sleep(random.uniform(0.02, 0.06))
    if order % 400 == 17:
        raise ConnectionError("the mail server does not answer")
    return f"receipt of order {order} sent"


@app.task(queue="images")
async def resize(picture: str, width: int) -> str:
    await asyncio.sleep(random.uniform(0.2, 0.6))
    return f"{picture}-{width}.webp"


@app.task(queue="reports")
async def monthly(month: str) -> None: ...
"""
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
        font-variant-east-asian: full-width;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})"
       clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


async def fill(folder: Path) -> str:
    """Give the shop work for some time; return the id of a job that does not run."""
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    from shop import app, monthly, resize, send_receipt  # type: ignore[import-not-found]

    await app.queue("reports").pause()
    job = await monthly.enqueue(month="2026-11")
    await monthly.with_options(delay=3600).enqueue(month="2026-12")
    await resize.enqueue_many({"picture": f"car-{n}", "width": 640} for n in range(600))
    until_s = asyncio.get_running_loop().time() + BUSY_S
    order = 0
    while asyncio.get_running_loop().time() < until_s:
        await send_receipt.enqueue_many({"order": order + n} for n in range(7))
        order += 7
        await asyncio.sleep(0.05)
    await send_receipt.enqueue_many({"order": order + n} for n in range(30))
    await app.close()
    return str(job.id)


def terminal(*words: str, cwd: Path) -> str:
    """Return what a command prints in a terminal, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(
        [sys.executable, "-m", "toril", *words],
        cwd=cwd,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(said.decode())
    return said.decode().replace("\r\n", "\n").rstrip()


def draw(parts: list[tuple[str, str]]) -> str:
    """Return commands and what they printed as SVG."""
    console = Console(
        record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True, highlight=False
    )
    for number, (command, said) in enumerate(parts):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(said), soft_wrap=False)
    svg = console.export_svg(
        title="toril", theme=THEME, code_format=FORMAT, unique_id="toril", font_aspect_ratio=0.6
    )
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory(prefix="shop-") as name:
        folder = Path(name)
        (folder / "shop.py").write_text(SHOP)
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "toril",
                "worker",
                "shop:app",
                "-c",
                "20",
                "-q",
                "mail=2,images=1,reports=1",
            ],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        ) as worker:
            try:
                job_id = asyncio.run(fill(folder))
                parts = [
                    ("toril top", terminal("top", "--once", "--interval", "2", cwd=folder)),
                    (
                        f"toril jobs explain {job_id}",
                        terminal("jobs", "explain", job_id, cwd=folder),
                    ),
                ]
            finally:
                worker.terminate()
        svg = draw([(command, said.replace(str(folder), "/srv/shop")) for command, said in parts])
    PICTURE.write_text(svg, "utf-8")
    sys.stdout.write(f"{PICTURE}: {len(svg):,} characters\n")


if __name__ == "__main__":
    main()
