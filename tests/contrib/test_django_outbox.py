"""Jobs that commit with a transaction of Django's, relayed by a worker or a relay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contrib.django_project import Project
from tests.support.postgres import running_postgres
from tests.support.waiting import wait_until_sync

SETTINGS = """
INSTALLED_APPS += ["toril.contrib.django.outbox"]
TORIL["OUTBOX"] = "default"
"""
POSTGRES = """
DATABASES["default"] = {{
    "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres",
    "HOST": "127.0.0.1", "PORT": "{port}",
}}
"""
BUY = """
from django.db import transaction
from shop.models import Order
from shop.tasks import send_receipt
from toril.contrib.django import in_transaction
from toril.contrib.django.outbox.models import OutboxRow


def buy(item):
    order = Order.objects.create(item=item, email="jo@example.com")
    in_transaction(send_receipt).enqueue(order_id=order.pk)


with transaction.atomic():
    buy("tea")
    try:
        with transaction.atomic():
            buy("cake")
            raise ValueError
    except ValueError:
        pass
try:
    with transaction.atomic():
        buy("jam")
        raise ValueError
except ValueError:
    pass
buy("milk")
found = [row.queue for row in OutboxRow.objects.order_by("position")]
"""
RECEIPTS = """
from shop.models import Order
from toril.contrib.django.outbox.models import OutboxRow

receipts = {order.item: order.receipts for order in Order.objects.all()}
found = [receipts, OutboxRow.objects.count()]
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, project: Project, tmp_path: Path) -> Iterator[Project]:
    """The project with an outbox."""
    settings = project.folder / "project" / "settings.py"
    if request.param == "sqlite":
        settings.write_text(settings.read_text() + SETTINGS)
        project.ran("migrate", "--run-syncdb", "--verbosity=0")
        yield project
        return
    with running_postgres(options=("-c", "fsync=off")) as url:
        port = url.rpartition(":")[2].partition("/")[0]
        settings.write_text(settings.read_text() + SETTINGS + POSTGRES.format(port=port))
        project.ran("migrate", "--run-syncdb", "--verbosity=0")
        yield project
        project.end_all()


def test_jobs_commit_and_roll_back_with_rows_and_a_worker_relays_them(shop: Project) -> None:
    assert shop.python(BUY) == ["mail", "mail"]

    shop.worker()

    def done() -> bool:
        return bool(shop.python(RECEIPTS) == [{"tea": 1, "milk": 1}, 0])

    wait_until_sync(done, deadline_s=60, what="the receipts")


def test_relay_and_its_status_know_the_database_of_the_project(shop: Project) -> None:
    shop.python(BUY)
    status = json.loads(shop.ran("toril", "relay", "status", "--json"))
    assert [(one["queue"], one["waiting"]) for one in status["queues"]] == [("mail", 2)]

    assert "Relayed 2 jobs." in shop.ran("toril", "relay", "--drain")

    assert "The outbox is empty." in shop.ran("toril", "relay", "status")
    assert shop.python(RECEIPTS) == [{"tea": 0, "milk": 0}, 0]


def test_models_and_migration_say_the_same(shop: Project) -> None:
    assert "No changes" in shop.ran("makemigrations", "--check", "--dry-run", "toril_outbox")
