"""Where jobs are, and who is told when something is wrong."""

import os
from pathlib import Path

from toril import AlertOptions, App, MailChannel
from toril.core.redis_variables import store_url
from toril.services.mail.folder import FolderMailer

ENV = {name: value for name, value in os.environ.items() if value}
FOLDER = Path(ENV.get("DATA_DIR", "typed-queues-data")).absolute()
FOLDER.mkdir(parents=True, exist_ok=True)
URL = store_url(ENV, embedded=f"sqlite:///{FOLDER}/jobs.db", prefix=ENV.get("QUEUE_PREFIX"))
mailer = None if "SMTP_URL" in ENV else FolderMailer(FOLDER / "mail")  # None: by SMTP_URL
told = MailChannel(ENV.get("ALERT_MAIL", "ops@example.com"), mailer=mailer)
app = App(URL, unknown_tasks="fail", alerts=AlertOptions(channels=[told]))
