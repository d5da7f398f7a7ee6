"""What runs the jobs: the app, its services, and which task runs which type of job."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import msgspec

from examples.saas_api import types as t
from toril import App, JobOptions, KeepPolicy, Settings, WholePayload
from toril.alerts.environment import alerts_from_environment
from toril.library.cleanup import CleanedQueues
from toril.library.cleanup.tasks import clean_jobs, cleanup, run_cleanup
from toril.library.email.tasks import send
from toril.library.environment import Services, store_url, whole_number
from toril.library.exports import Sources, TableSource
from toril.library.exports.filters import read as check_export
from toril.library.exports.tasks import export_table
from toril.library.files.process_task import check_request, process
from toril.library.notify.tasks import in_app
from toril.library.type_limits import TypeLimits
from toril.library.warming import Loaders
from toril.library.warming.tasks import warm
from toril.tasks.struct_adapter import struct_adapter

FOLDER = Path(os.environ.get("DATA_DIR") or "saas-data").absolute()
ENV = {
    "QUEUE_NAME": "jobs", "QUEUE_CONCURRENCY": "5", "SHUTDOWN_TIMEOUT_S": "30",
    "QUEUE_REMOVE_ON_COMPLETE": "10", "QUEUE_REMOVE_ON_FAIL": "50",
    "EXPORT_TABLE": "toril_notices:id,user_id,tenant_id,type,title,body,created_at_ms",
    **{name: value for name, value in os.environ.items() if value},
}  # fmt: skip
AT_ONCE = whole_number(ENV, "QUEUE_CONCURRENCY", least=1)
stop_s = whole_number(ENV, "SHUTDOWN_TIMEOUT_S")
settings = Settings.load({**ENV, "TORIL_CONCURRENCY": str(AT_ONCE), "TORIL_SHUTDOWN": str(stop_s)})
FOLDER.mkdir(parents=True, exist_ok=True)
URL = store_url(ENV, embedded=f"sqlite:///{FOLDER}/jobs.db", host="redis")
services = Services.from_environment(
    ENV, folder=FOLDER, sender="SaaS <saas@example.com>", redis_host="redis"
)
alerts = alerts_from_environment(ENV, folder=FOLDER / "mail")  # by mail, or a webhook
app = App(URL, settings=settings, unknown_tasks="fail", alerts=alerts)
if limits := TypeLimits.from_environment("QUEUE_TYPE_LIMITS", ENV):
    app.middleware(limits)
queue = app.queue(ENV["QUEUE_NAME"])
table, _, columns = ENV["EXPORT_TABLE"].partition(":")
sources = Sources({"default": TableSource(services.records, table, columns.split(","))})


def check_rows(data: t.DataExportJobData) -> None:
    if data.tenant_id is not None and "tenant_id" in columns.split(","):
        data.filters["tenant_id"] = data.tenant_id  # nobody exports what others have
    check_export(sources, data.filters, data.columns)


async def stats() -> dict[str, int]:
    info = await queue.info()
    return {} if info is None else {"completed": info.completed_total, "failed": info.failed_total}


loaders = Loaders({"stats": stats}, http=services.http, policy=services.policy)
services.provide(app)
services.totals.watch(app)
for given in (sources, loaders, CleanedQueues(app, [queue.name])):
    app.provide(given)
app.on_start(services.prepare)
app.on_stop(services.close)
app.include(cleanup)
app.schedule("@hourly", payload={})(app.bound(clean_jobs))
KINDS: dict[str, tuple[Any, ...]] = {  # the payload of a type, its task, what the door checks
    "EMAIL_SEND": (t.EmailJobData, send,
                   lambda data: services.mail.check_attachments(data.attachments)),
    "USER_NOTIFICATION": (t.UserNotificationJobData, in_app, None),
    "DATA_EXPORT": (t.DataExportJobData, export_table, check_rows),
    "FILE_PROCESS": (t.FileProcessJobData, process, lambda data: check_request(
        data.operation, data.options, data.file_path, services.sources)),
    "CACHE_WARM": (t.CacheWarmJobData, warm, lambda data: services.warming.check(
        data.cache_key, data.data_source, loaders, ttl=data.ttl)),
    "CLEANUP": (t.CleanupJobData, run_cleanup,
                lambda data: services.cleanup.check(data.target_type, data.path, data.pattern)),
}  # fmt: skip
kept, failed = (whole_number(ENV, f"QUEUE_REMOVE_ON_{how}") for how in ("COMPLETE", "FAIL"))
KEPT = JobOptions(
    max_attempts=3, backoff="exponential", backoff_s=2.0,
    keep_completed=KeepPolicy(count=kept), keep_failed=KeepPolicy(count=failed),
)  # fmt: skip


def older(data: dict[str, Any]) -> dict[str, Any]:
    """Return what older producers send under the documented names; they count in days."""
    if "target" in data:
        data["olderThan"] = round(data.get("olderThan", 1) * 86_400_000)
    if options := data.get("options"):
        given = {"format" if name == "targetFormat" else name: options[name] for name in options}
        takes = {"resize": ("width", "height", "quality"), "compress": ("quality",)}
        known = takes.get(data["operation"], ("format", "quality"))
        data["options"] = {name: given[name] for name in known if name in given}
    names = {"message": "body", "format": "exportType", "target": "targetType"}
    return {names.get(name, name): value for name, value in data.items()}


def older_mail(data: WholePayload[dict[str, Any]]) -> dict[str, Any]:
    given = {name: data.get(name) for name in ("to", "subject", "template", "variables")}
    html = data.get("body") if given["template"] is None else None
    return send.arguments_of(**given, html=html)


def registered(data: WholePayload[dict[str, Any]]) -> dict[str, Any]:
    user = data.get("jobData", data)
    name = {"name": user["userName"]}
    return send.arguments_of(to=user["userEmail"], template="welcome", variables=name)


def success(result: Any) -> dict[str, Any]:
    """Return a result with the keys that older producers read beside ours; a text only once."""
    made = msgspec.to_builtins(result)
    return {**made, "success": True, "data": {key: made[key] for key in made if key != "text"}}


for name, (kind, task, check) in KINDS.items():
    own, old = (struct_adapter(kind, task, check=check, prepare=each) for each in (None, older))
    app.bind(queue.name, task, names=name, adapter=own, options=KEPT)
    old = older_mail if task is send else old
    app.bind(queue.name, task, names=t.older(name), adapter=old, result=success, options=KEPT)
app.bind(queue.name, send, names="registration:email", adapter=registered, options=KEPT)


class QueueWorker:  # until SIGTERM or SIGINT; a second signal gives back at once what still runs
    async def start(self) -> None:
        worker = app.worker()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        await worker.run()
        await app.close()
