"""Where things are: settings of the environment, records, objects, channels, rules."""

import os
from dataclasses import replace
from pathlib import Path

from examples.content_platform.presets import PRESETS

from toril.library.environment import Services, store_url
from toril.library.images import MediaSettings, WatermarkSettings
from toril.library.notify import Channels
from toril.library.notify.channel_service import sms_from_environment, telegram_from_environment
from toril.library.push import PushService, PushSettings
from toril.library.sync.syncing import MediaSync
from toril.services.messengers.sql_chats import SqlChats
from toril.services.rules.sql import SqlRules

FOLDER = Path(os.environ.get("DATA_DIR") or "content-data").absolute()
FOLDER.mkdir(parents=True, exist_ok=True)
URL = store_url(os.environ, embedded=f"sqlite:///{FOLDER}/jobs.db")
EMBEDDED = not URL.startswith("redis")
ENV = {
    "S3_ENABLED": "yes" if EMBEDDED else "no",
    "MEDIA_ROOT": f"{FOLDER}/public/uploads",
    "MEDIA_TEMP_DIR": f"{FOLDER}/tmp",
    "DATABASE_URL": f"sqlite:///{FOLDER}/records.db",
    "FALLBACK_URL": f"sqlite:///{FOLDER}/spool.db",
    "PUSH_FOLDER": f"{FOLDER}/push",
    "MEDIA_CLEANUP_CRON": "0 3 * * *",
    **{name: value for name, value in os.environ.items() if value},
}
for name in ("MEDIA_DATABASE_URL", "PUSH_DATABASE_URL"):
    ENV.setdefault(name, ENV["DATABASE_URL"])
settings = replace(MediaSettings.from_environment(ENV), presets=PRESETS)
marks = replace(WatermarkSettings.from_environment(ENV), variants=None)
services = Services.from_environment(ENV, folder=FOLDER, sender="Media <media@example.com>")
media = MediaSync(settings, services.objects)
rules = SqlRules(services.records)
chats = SqlChats(services.records)
push = PushService(PushSettings.from_environment(ENV))
channels = Channels(
    mail=services.mail,
    push=push,
    notices=services.notices,
    telegram=telegram_from_environment(ENV, services.http, chats),
    sms=sms_from_environment(ENV, services.http),
)
