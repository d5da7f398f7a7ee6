"""Puts the alerts of an app together: options, what the settings add, hooks, watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from toril.alerts.channels.mail import MailChannel
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.notes import Notes
from toril.alerts.options import AlertOptions
from toril.alerts.watch import Watch
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.core.masking import Masker
from toril.core.redact import without_passwords
from toril.engine.contract import Backend
from toril.engine.hooks import Hooks
from toril.services.mail.folder import FolderMailer
from toril.services.mail.smtp import SmtpMailer

MAIL_FOLDER = "mail"
REASON_CHARS = 300


class AlertSetup:
    """What an app that declares alerts has for them."""

    def __init__(
        self,
        options: AlertOptions,
        backend: Callable[[], Backend],
        hooks: Hooks,
        *,
        masker: Callable[[], Masker],
        letter_queues: Callable[[], Iterable[str]],
        smtp_url: str | None,
        mail_from: str | None,
        egress_allow: Iterable[str],
    ) -> None:
        """Put them together.

        Parameters:
            options: The app's.
            backend: Returns the store.
            hooks: The app's: they tell of dead letters and blocked loops.
            masker: Returns what hides secrets.
            letter_queues: Names the dead-letter queues of tasks.
            smtp_url: For channels that name no mail server. None: mails go into a folder.
            mail_from: Of mails whose channel names no sender.
            egress_allow: For channels that do not say what they may reach.

        Raises:
            InvalidOptionError: The settings make no sense for a channel.
        """
        self.options = options
        self._backend = backend
        self._masker = masker
        self._letter_queues = letter_queues
        allow = list(egress_allow)
        for channel in options.channels:
            if isinstance(channel, WebhookChannel):
                channel.allow_by_default(allow)
            if isinstance(channel, MailChannel) and channel.mailer is None:
                if smtp_url is not None:
                    channel.mailer = _by_smtp(smtp_url, mail_from)
                else:
                    channel.mailer = FolderMailer(
                        Path(MAIL_FOLDER), sender=mail_from or "toril@localhost"
                    )
        self._notes = Notes(backend, clean=self._clean)
        self._notes.listen(hooks)

    def watch(self) -> Watch:
        """Return a watch for one worker, or for a process that is none."""
        return Watch(
            self._backend,
            self.options,
            notes=self._notes,
            letter_queues=self._letter_queues,
            clean=self._clean,
        )

    def _clean(self, text: str) -> str:
        """Return the reason of a failure as one short line without secrets."""
        line = " ".join(self._masker().text(without_passwords(text)).split())
        return line if len(line) <= REASON_CHARS else f"{line[: REASON_CHARS - 1]}…"


def _by_smtp(url: str, sender: str | None) -> SmtpMailer:
    try:
        return SmtpMailer(url, sender=sender, keep_s=0)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"TORIL_SMTP_URL or SMTP_URL: {error}") from None
