"""A real Django project in a folder: what its page says, and what the page takes for given."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cli.support import PATIENCE_S, Running
from tests.house.pages import blocks

PAGE = Path(__file__).parents[2] / "docs" / "frameworks" / "django.md"

MANAGE = """
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""
SETTINGS = """
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = []
ROOT_URLCONF = "project.urls"
DATABASES = {
    "default": {
        "ENGINE": "engine",
        "NAME": BASE_DIR / "shop.sqlite3",
        "CONN_MAX_AGE": json.loads(os.environ.get("CONN_MAX_AGE", "0")),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
# Silences what it does not name, as this setting does where nobody thought of it.
LOGGING = {"version": 1, "disable_existing_loggers": True}
""".replace("import os\n", "import json\nimport os\n", 1)
ENGINE = '''
"""SQLite, whose connections may break as those to a server do: Django takes them for usable."""

import sqlite3

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self):
        try:
            self.connection.execute("SELECT 1")
        except sqlite3.Error:
            return False
        return True
'''
PROBE = '''
"""Tasks that tell what a job finds."""

import os
import threading
from pathlib import Path

from django.db import connection
from project.jobs import app
from shop.models import Order
from toril import Context, RetryPolicy, TaskBundle

ONCE = RetryPolicy(max_attempts=1)


@app.task(queue="probe", retry=ONCE)
def look() -> list[object]:
    """Return the thread, and whether a connection was open in it; leave one open."""
    found = connection.connection is not None
    Order.objects.count()
    return [threading.get_ident(), found]


@app.task(queue="probe", retry=ONCE)
async def look_async() -> bool:
    from asgiref.sync import sync_to_async

    found = await sync_to_async(lambda: connection.connection is not None)()
    await Order.objects.acount()
    return found


@app.task(queue="probe", retry=ONCE)
def break_it() -> int:
    """Have the connection of this thread end behind Django's back, as a restarted server does."""
    Order.objects.count()
    connection.connection.close()
    return Order.objects.count()


@app.task(queue="probe", retry=ONCE)
async def break_it_async() -> int:
    from asgiref.sync import sync_to_async

    await Order.objects.acount()
    await sync_to_async(lambda: connection.connection.close())()
    return await Order.objects.acount()


@app.task(queue="hold")
def hold(context: Context, until: str) -> int:
    """Run until there is a file of that name."""
    context.log(f"pid {os.getpid()}")
    while not Path(until).exists():
        context.sleep(0.02)
    return context.attempt


bundle = TaskBundle()


@bundle.task(queue="probe", retry=ONCE)
def look_of_bundle() -> bool:
    found = connection.connection is not None
    Order.objects.count()
    return found


@bundle.task(queue="probe", run_in="process", retry=ONCE)
def look_of_bundle_in_process() -> bool:
    found = connection.connection is not None
    Order.objects.count()
    return found


app.include(bundle)


@app.task(queue="probe", run_in="process", retry=ONCE)
def look_in_process() -> list[object]:
    found = connection.connection is not None
    Order.objects.count()
    return [os.getpid(), found]
'''


class Project:
    """A project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Running] = []

    def write(self) -> None:
        """Write all files, those of the page as it says, and make the tables."""
        files = {
            "manage.py": MANAGE,
            "project/__init__.py": "",
            "project/settings.py": SETTINGS,
            "engine/__init__.py": "",
            "engine/base.py": ENGINE,
            "shop/__init__.py": "",
            "probe/__init__.py": "",
            "probe/tasks.py": PROBE,
        }
        for block in blocks(PAGE.read_text("utf-8")):
            if block.title is not None:
                files[block.title] = files.get(block.title, "") + "\n" + block.text
        files["project/settings.py"] += '\nINSTALLED_APPS += ["probe"]\n'
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text.lstrip("\n"), "utf-8")
        self.ran("migrate", "--run-syncdb", "--verbosity", "0")

    def copy(self, folder: Path) -> Project:
        """Return a copy in another folder."""
        shutil.copytree(self.folder, folder)
        return Project(folder)

    def manage(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` and wait for it."""
        return subprocess.run(
            [sys.executable, "-W", "error", "manage.py", *words],
            cwd=self.folder,
            env=clean() | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def ran(self, *words: str, **environment: str) -> str:
        """Run `manage.py`, and return what it printed."""
        done = self.manage(*words, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, program: str, **environment: str) -> Any:
        """Run a program in the project; return what it left in `found`, by way of JSON."""
        words = (f"{program}\nimport json; print('\\n' + json.dumps(found))",)
        return json.loads(self.ran("shell", "-c", *words, **environment).splitlines()[-1])

    def start(self, *words: str, cwd: Path | None = None, **environment: str) -> Running:
        """Start `manage.py` and let it go on."""
        log = self.folder / f"log-{len(self.started)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, str(self.folder / "manage.py"), *words],
                cwd=cwd or self.folder,
                env=clean() | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def worker(self, *words: str, **environment: str) -> Running:
        """Start a worker, and wait until it is at work."""
        return self.start("toril_worker", *words, cwd=None, **environment).says("started: Toril")

    def end_all(self) -> None:
        """Kill whatever still runs."""
        for each in self.started:
            if each.process.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.process.wait()


def clean() -> dict[str, str]:
    """Return an environment without anybody's settings."""
    ours = ("TORIL_", "DJANGO_", "WORKER_TYPE", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONUTF8": "1"}
