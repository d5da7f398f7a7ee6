"""What the e-mail tasks work with, in one process: settings, mailer, templates, lists.

Make one in the program that runs workers, provide it, and close it at the stop:

```python
service = EmailService(EmailSettings.from_environment())
app.include(email)
app.provide(service)
app.on_stop(service.close)
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from toril.core.codec import Json
from toril.library.email.attaching import attachments, refuse_outside
from toril.library.email.composing import Content, check_receivers, composed
from toril.library.email.delivery import Delivery, Save, deliver
from toril.library.email.payloads import AttachmentSource, EmailJobData
from toril.library.email.settings import EmailSettings
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import HttpClient
from toril.services.mail.bounces import is_hard_bounce
from toril.services.mail.folder import FolderMailer
from toril.services.mail.memory import MemoryMailer
from toril.services.mail.pace import Pace
from toril.services.mail.port import Mail, Mailer, MailReceipt, Refusal
from toril.services.mail.suppressions import MemorySuppressions, Suppressions
from toril.services.mail.templates import MailTemplates, RenderedMail


class EmailService:
    """Shared by all jobs of a process. It connects to nothing before it has to."""

    def __init__(
        self,
        settings: EmailSettings | None = None,
        *,
        mailer: Mailer | None = None,
        suppressions: Suppressions | None = None,
        http: HttpClient | None = None,
    ) -> None:
        """Make a service.

        Parameters:
            settings: Default: from the environment.
            mailer: What sends. Default: as the settings say.
            suppressions: Who gets no bulk mail. Default: in the settings' database; with the
                provider `memory`, in memory.
            http: What fetches attachments, and speaks to SendGrid. Default: one that reaches
                public addresses and what the settings allow.

        Raises:
            InvalidSettingError: The environment lacks something, such as `EMAIL_FROM`.
        """
        self.settings = EmailSettings.from_environment() if settings is None else settings
        self._http = http or AioHttpClient(EgressPolicy(self.settings.egress_allow))
        self._owns_http = http is None
        self._owns_mailer = mailer is None
        self.mailer = mailer if mailer is not None else _mailer(self.settings, self._http)
        self._owns_suppressions = suppressions is None
        self._suppressions = suppressions
        self._templates: MailTemplates | None = None
        self._pace = Pace(self.settings.max_per_s)

    def __repr__(self) -> str:
        return f"EmailService({self.mailer!r})"

    @property
    def suppressions(self) -> Suppressions:
        """Who gets no bulk mail."""
        if self._suppressions is None:
            self._suppressions = _suppressions(self.settings)
        return self._suppressions

    @property
    def templates(self) -> MailTemplates:
        """The templates of mails; read when they are first asked for."""
        if self._templates is None:
            brand = self.settings.brand
            defaults = {} if brand is None else {"brand": brand}
            self._templates = MailTemplates(self.settings.templates, defaults=defaults)
        return self._templates

    async def render(self, template: str, variables: Mapping[str, Json]) -> RenderedMail:
        """Make a mail of a template, in a thread: a large one takes a while.

        Raises:
            UnusableInputError: See `MailTemplates.render`.
        """
        return await asyncio.to_thread(lambda: self.templates.render(template, variables))

    async def compose(self, data: EmailJobData) -> Mail:
        """Make the mail of a payload, attachments and all.

        Raises:
            UnusableInputError: It will never be one.
            InvalidOptionError: An address or the subject makes no sense.
            HttpError, OSError: An attachment cannot be had now.
        """
        receivers = check_receivers(data, self.settings.max_recipients)
        rendered = None
        if data.template is not None:
            rendered = await self.render(data.template, data.variables or {})
        files = await attachments(data.attachments or [], self.settings, self._http)
        content = Content(
            receivers=receivers, sender=self.settings.sender, rendered=rendered, files=files
        )
        return await asyncio.to_thread(composed, data, content)

    def check_attachments(self, sources: Sequence[AttachmentSource]) -> None:
        """Refuse attachments whose paths lead out of their folder: for the door of an application.

        Raises:
            UnusableInputError: One leads out.
        """
        refuse_outside(sources, self.settings)

    async def hand_over(self, mail: Mail) -> MailReceipt:
        """Send one mail when its turn has come; see `Mailer.send` for its errors."""
        await self._pace.wait()
        return await self.mailer.send(mail)

    async def send(self, data: EmailJobData) -> Delivery:
        """Send without a queue: for scripts and tests. Nothing is tried again.

        Raises:
            MailError: There is no server, or it takes nothing of us.
            UnusableInputError, InvalidOptionError, HttpError, OSError: As `compose`.
        """
        mail = await self.compose(data)
        delivery = Delivery(message_id=token_hex(16), marks="w" * len(mail.to))
        await self.deliver(mail, delivery, save=_nothing, separately=data.separately)
        return delivery

    async def deliver(
        self, mail: Mail, delivery: Delivery, *, save: Save, separately: bool = False
    ) -> None:
        """Send a mail to everybody who is left, one after another; see `delivery.deliver`."""

        async def send(place: int) -> None:
            only = [mail.to[place]]
            shown = only if separately else None
            copy = mail.addressed(to=shown, only_to=only, message_id=delivery.message_id)
            await self.hand_over(copy)

        await deliver(delivery, mail.to, send=send, save=save, refused=self.note_refusal)

    async def note_refusal(self, address: str, refusal: Refusal) -> None:
        """Put an address on the suppression list if nobody will ever read mail there."""
        if is_hard_bounce(refusal):
            await self.suppressions.add(address, "bounced", detail=str(refusal))

    async def close(self) -> None:
        """Close the connections that it has opened, not those of what it was given."""
        if self._owns_mailer:
            await self.mailer.close()
        if self._owns_http:
            await self._http.close()
        if self._owns_suppressions and self._suppressions is not None:
            await self._suppressions.close()
            self._suppressions = None


async def _nothing(_: Delivery) -> None:
    return


def _mailer(settings: EmailSettings, http: HttpClient) -> Mailer:
    match settings.chosen_provider:
        case "memory":
            return MemoryMailer(sender=settings.sender)
        case "folder":
            return FolderMailer(Path(settings.folder), sender=settings.sender)
        case "sendgrid":
            from toril.services.mail.sendgrid import SendGridMailer  # only its users pay

            return SendGridMailer(
                settings.sendgrid_key or "", http, sender=settings.sender, url=settings.sendgrid_url
            )
        case "smtp":
            from toril.services.mail.smtp import SmtpMailer  # likewise

            return SmtpMailer(
                settings.smtp_url or "",
                sender=settings.sender,
                timeout_s=settings.smtp_timeout_s,
                answer_timeout_s=settings.smtp_answer_timeout_s,
                max_connections=settings.smtp_connections,
            )


def _suppressions(settings: EmailSettings) -> Suppressions:
    if settings.chosen_provider == "memory":
        return MemorySuppressions()
    from toril.services.mail.sql_suppressions import SqlSuppressions  # only its users pay

    return SqlSuppressions(settings.database_url)
