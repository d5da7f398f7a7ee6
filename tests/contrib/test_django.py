"""A Django project at work: its page as written, its worker, its connections, its settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contrib.django_project import Project, clean
from tests.support.waiting import wait_until_sync

from toril import App, Job, Settings
from toril.cli.codes import DONE

BUY = """
from django.test import Client
found = [Client().post("/buy", {"item": item, "email": "jo@example.com"}).json() for item in %r]
"""


def test_a_buyer_gets_a_receipt_from_a_worker_beside(project: Project) -> None:
    worker = project.worker()

    orders = project.python(BUY % ["tea", "cake"])
    found = project.python("""
from project.jobs import app
from shop.models import Order
from shop.tasks import count_orders, send_receipt
from django.test import Client
results = [app.queue("mail").job(str(n)).result_sync(timeout_s=25) for n in (1, 2)]
count = count_orders.enqueue_sync().result_sync(timeout_s=25)
found = [results, count, list(Order.objects.values_list("receipts", flat=True)),
         Client().get("/show").json()]
""")

    assert orders == [{"order": 1}, {"order": 2}]
    assert found == [
        ["receipt of tea sent to jo@example.com", "receipt of cake sent to jo@example.com"],
        2,
        [1, 1],
        {"newest": "cake"},
    ]
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE
    assert "look (probe, thread)" in worker.log  # the tasks of every app were found


def test_nothing_is_added_after_a_rollback(project: Project) -> None:
    found = project.python("""
from django.db import transaction
from project.jobs import app
from shop.tasks import send_receipt
from toril import InvalidPayloadError
from toril.contrib.django import on_commit

found = []
def jobs(): return [queue.waiting for queue in app._producer.run_sync(app.queues())]
try:
    with transaction.atomic():
        on_commit(send_receipt).enqueue(order_id=1)
        raise ValueError
except ValueError:
    found.append(jobs())
with transaction.atomic():
    on_commit(send_receipt).enqueue(1)
    found.append(jobs())
found.append(jobs())
on_commit(send_receipt).enqueue(2)
found.append(jobs())
try:
    with transaction.atomic():
        on_commit(send_receipt).enqueue(order_id="one")
except InvalidPayloadError as error:
    found.append(str(error))
""")

    assert found[:4] == [[], [], [1], [2]]
    assert found[4].startswith("task 'send_receipt', field 'order_id': Expected `int`")


def test_arguments_are_those_of_the_call_not_of_the_commit(project: Project) -> None:
    found = project.python("""
from django.db import transaction
from project.jobs import app
from toril.contrib.django import on_commit

@app.task()
def note(words: list[str]) -> None: ...

words = ["a"]
with transaction.atomic():
    on_commit(note.with_options(job_id="one")).enqueue(words=words)
    words.append("b")
found = app.queue("default").job("one").info_sync().data
""")

    assert found == {"words": ["a"]}


def test_a_store_that_fails_after_the_commit_may_be_logged(project: Project) -> None:
    found = project.python("""
from django.db import transaction
from project.jobs import app
from shop.tasks import send_receipt
from toril.contrib.django import on_commit

app.url = "sqlite:////nowhere/at/all.db"
found = []
for robust in (False, True):
    try:
        with transaction.atomic():
            on_commit(send_receipt, robust=robust).enqueue(1)
        found.append("went on")
    except Exception as error:
        found.append(type(error).__name__)
""")

    assert found[1] == "went on"
    assert found[0].startswith("Store")


def test_jobs_of_a_killed_worker_are_run_by_the_next(project: Project) -> None:
    first = project.worker("--max-stalled", "3")
    go = str(project.folder / "go")
    project.python(f"""
from probe.tasks import hold
found = hold.with_options(job_id="held").enqueue_sync(until={go!r}).id
""")
    app = App(f"sqlite:///{project.folder / 'jobs.db'}", settings=Settings())
    held: Job[int] = app.queue("hold").job("held")
    wait_until_sync(lambda: app._producer.run_sync(held.logs()), what="a job that runs")

    os.killpg(first.pid, signal.SIGKILL)
    first.process.wait()
    (project.folder / "go").touch()
    second = project.worker()
    attempt = held.result_sync(timeout_s=45)
    app.close_sync()

    assert attempt in (1, 2)
    second.tell(signal.SIGTERM)
    assert second.ends() == DONE


LOOK = """
from probe.tasks import look, look_async, look_in_process
found = [[task.enqueue_sync().result_sync(timeout_s=25) for _ in range(3)]
         for task in (look, look_async, look_in_process)]
"""


def test_no_connection_outlives_its_job(project: Project) -> None:
    project.worker("--concurrency", "1")

    plain, in_loop, in_process = project.python(LOOK)

    assert len({thread for thread, _ in plain}) == 1, "several jobs of one thread"
    assert [was_open for _, was_open in plain] == [False, False, False]
    assert in_loop == [False, False, False]
    assert [was_open for _, was_open in in_process] == [False, False, False]
    assert len({pid for pid, _ in in_process}) == 1


def test_tasks_of_a_bundle_are_cared_for_as_well(project: Project) -> None:
    project.worker("--concurrency", "1")

    found = project.python("""
from probe.tasks import app, look_of_bundle, look_of_bundle_in_process
found = [app.bound(task).enqueue_sync().result_sync(timeout_s=25)
         for task in (look_of_bundle, look_of_bundle_in_process) for _ in range(2)]
""")

    assert found == [False, False, False, False]


def test_a_connection_is_kept_for_as_long_as_the_settings_say(project: Project) -> None:
    project.worker("--concurrency", "1", CONN_MAX_AGE="600")

    plain, in_loop, in_process = project.python(LOOK)

    assert [was_open for _, was_open in plain] == [False, True, True]
    assert in_loop == [False, True, True]
    assert [was_open for _, was_open in in_process] == [False, True, True]


def test_a_connection_that_broke_costs_one_job(project: Project) -> None:
    """Without care, every later job of that thread fails."""
    project.worker("--concurrency", "1", CONN_MAX_AGE="600")

    found = project.python("""
from probe.tasks import break_it, break_it_async, look, look_async
from toril import JobFailedError
found = []
for task in (break_it, look, break_it_async, look_async):
    try:
        task.enqueue_sync().result_sync(timeout_s=25)
        found.append("done")
    except JobFailedError as error:
        found.append(str(error).partition(":")[0])
""")

    assert [each.rpartition(".")[2] for each in found] == [
        "ProgrammingError", "done", "ProgrammingError", "done",
    ]  # fmt: skip


def test_a_task_called_directly_leaves_connections_alone(project: Project) -> None:
    found = project.python("""
from django.db import connection
from probe.tasks import look
from shop.models import Order
Order.objects.count()
before = connection.connection
look.function(), look()
found = connection.connection is before
""")

    assert found is True


def test_worker_processes_find_the_project_from_anywhere(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    worker = project.start("toril_worker", "--processes", "2", cwd=elsewhere)
    worker.says("started: Toril", times=2)

    found = project.python("""
from probe.tasks import look, look_in_process
found = [task.enqueue_sync().result_sync(timeout_s=25)[1] for task in (look, look_in_process)]
""")

    assert found == [False, False]
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE


def test_other_commands_use_the_store_of_the_settings(project: Project) -> None:
    project.python("from shop.tasks import send_receipt\nfound = send_receipt.enqueue_sync(1).id")

    listed = json.loads(project.ran("toril", "queues", "--json"))
    refused = project.manage("toril", "qeues")

    assert [queue["name"] for queue in listed["queues"]] == ["mail"]
    assert refused.returncode == 2
    assert "did you mean 'queues'?" in refused.stderr


def test_the_worker_command_lists_the_options_of_toril_worker(project: Project) -> None:
    said = project.ran("toril_worker", "--help")

    for option in ("--concurrency", "-c", "--queues", "--reload", "--shutdown", "--settings"):
        assert option in said
    assert "--lifeline-fd" not in said


def test_wrong_options_are_answered_in_a_sentence(project: Project) -> None:
    wrong = project.manage("toril_worker", "--concurrency", "none")
    untasked = project.manage("toril_worker", "--queues=mial")

    assert wrong.returncode == 2
    assert "Invalid value for '-c' / '--concurrency'" in wrong.stderr
    assert untasked.returncode == 2
    assert "did you mean 'mail'?" in untasked.stderr
    assert "Traceback" not in wrong.stderr + untasked.stderr


def test_toril_worker_sets_django_up_by_itself(project: Project) -> None:
    """And what it says is not silenced by the project's LOGGING."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "toril", "worker", "project.jobs:app"],
        cwd=project.folder,
        env=clean() | {"DJANGO_SETTINGS_MODULE": "project.settings"},
        stderr=subprocess.PIPE,
        text=True,
    )
    found = project.python("""
from shop.tasks import count_orders
found = count_orders.enqueue_sync().result_sync(timeout_s=25)
""")
    worker.terminate()
    _, said = worker.communicate(timeout=25)

    assert found == 0
    assert "started: Toril" in said
    assert "send_receipt (mail, thread)" in said


def test_settings_are_read_and_refused_by_name(project: Project) -> None:
    found = project.python("""
from django.test import override_settings
from toril.contrib.django import DjangoApp
from toril.contrib.django.conf import project_settings, target

URL = {"URL": "sqlite:///a.db"}
def read(toril, **environment):
    with override_settings(TORIL=toril):
        try:
            one = project_settings(environment)
            return [one.url, one.concurrency, one.timezone, one.shutdown_s]
        except Exception as error:
            return f"{type(error).__name__}: {error}"
found = [
    read({"URL": "sqlite:///a.db", "CONCURRENCY": 7, "SHUTDOWN_S": 60}),
    read(URL | {"TIMEZONE": "UTC"}, TORIL_URL="sqlite:///b.db"),
    read({"URI": "sqlite:///a.db"}),
    read({"CONCURRENCY": 0}),
    read(["URL"]),
]
with override_settings(TORIL={}):
    for call in (DjangoApp, target):
        try:
            call()
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    found.append(DjangoApp("sqlite:///c.db").url)
""")

    assert found == [
        ["sqlite:///a.db", 7, "Europe/Berlin", 60],
        ["sqlite:///b.db", None, "UTC", 25],
        "InvalidSettingError: TORIL: unknown setting 'URI': did you mean 'URL'?",
        "InvalidSettingError: TORIL['CONCURRENCY']=0: expected an integer from 1",
        "InvalidSettingError: TORIL=['URL']: expected a dictionary, such as {'URL': ...}",
        (
            "InvalidSettingError: TORIL has no 'URL': say in the settings where jobs live, such as"
            " f\"sqlite:///{BASE_DIR / 'jobs.db'}\""
        ),
        (
            "InvalidSettingError: TORIL['APP']=None: expected where your app is, such as"
            " 'project.jobs:app'"
        ),
        "sqlite:///c.db",
    ]


@pytest.mark.parametrize("command", ["toril_worker", "toril"])
def test_nonsense_in_the_settings_ends_a_command_in_a_sentence(
    project: Project, command: str
) -> None:
    with (project.folder / "project" / "settings.py").open("a") as file:
        file.write("\nTORIL['CONCURENCY'] = 3\n")

    done = project.manage(command, "queues") if command == "toril" else project.manage(command)

    assert done.returncode == 1
    assert done.stderr == (
        "CommandError: TORIL: unknown setting 'CONCURENCY': did you mean 'CONCURRENCY'?\n"
    )


def test_without_settings_of_django_the_app_says_so(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toril", "worker", "project.jobs:app"],
        cwd=project.folder, env=clean(), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip

    assert done.returncode != 0
    assert "Django has no settings here: set DJANGO_SETTINGS_MODULE" in done.stderr


EAGER = """
import threading

from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase
from probe.tasks import look
from project.jobs import app
from shop.models import Order
from shop.tasks import newest_order, send_receipt
from toril.contrib.django import on_commit
from toril.testing import in_memory


class Plain(TestCase):
    def setUp(self):
        Order.objects.create(item="tea", email="jo@example.com")

    def test_tasks_see_the_transaction(self):
        with in_memory(app) as bench:
            jobs = [send_receipt.enqueue_sync(Order.objects.get().pk), newest_order.enqueue_sync()]
            bench.run_until_idle_sync().raise_errors()
            self.assertEqual(jobs[1].result_sync(), "tea")
        self.assertEqual(Order.objects.get().receipts, 1)

    def test_at_once_and_in_this_thread(self):
        with in_memory(app, eager=True):
            thread, was_open = look.enqueue_sync().result_sync()
            self.assertEqual((thread, was_open), (threading.get_ident(), True))
            self.assertEqual(newest_order.enqueue_sync().result_sync(), "tea")

    def test_queries_of_a_job_are_counted(self):
        with in_memory(app, eager=True), self.assertNumQueries(2):
            look.enqueue_sync()
            Order.objects.count()

    def test_rows_of_a_job_are_rolled_back(self):
        self.assertEqual(Order.objects.get().receipts, 0)

    test_rows_of_a_job_are_rolled_back_whichever_is_first = test_rows_of_a_job_are_rolled_back


class Async(TestCase):
    async def test_plain_and_async_tasks_see_the_transaction(self):
        order = await Order.objects.acreate(item="cake", email="jo@example.com")
        async with in_memory(app) as bench:
            jobs = [await send_receipt.enqueue(order.pk), await newest_order.enqueue()]
            (await bench.run_until_idle()).raise_errors()
            self.assertEqual(await jobs[1].result(), "cake")
        await order.arefresh_from_db()
        self.assertEqual(order.receipts, 1)

    async def test_a_plain_view_of_an_async_test_is_eager_too(self):
        async with in_memory(app, eager=True) as bench:
            await self.async_client.post("/buy", {"item": "tea", "email": "jo@example.com"})
            bench.ran.raise_errors()


class Committing(TransactionTestCase):
    def test_a_job_runs_at_the_commit(self):
        with in_memory(app, eager=True) as bench:
            with transaction.atomic():
                order = Order.objects.create(item="tea", email="jo@example.com")
                on_commit(send_receipt).enqueue(order.pk)
                self.assertEqual(bench.ran.completed, [])
            self.assertEqual(len(bench.ran.completed), 1)
        order.refresh_from_db()
        self.assertEqual(order.receipts, 1)
"""


def test_jobs_in_tests_see_the_transaction_of_the_test(project: Project) -> None:
    (project.folder / "probe" / "tests.py").write_text(EAGER)

    done = project.manage("test", "--shuffle")

    assert done.returncode == 0, done.stderr
    assert "Ran 11 tests" in done.stderr
