"""A real SMTP server in a process of its own, which does what the receivers' names ask for.

A mail to `550-gone@example.com` is refused with 550, one to `hangup-jo@example.com` is taken and
the connection closed without an answer. What arrives is a line of JSON in a file, written before
the answer leaves; so a test reads it whatever happens to either side.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.support.ports import give_back_port, reserve_port
from tests.support.waiting import wait_until_sync

USER, PASSWORD = "shop", "hunter2"


class SmtpProcess:
    """The server, seen from a test."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.port, self.process = folder, port, process

    @property
    def url(self) -> str:
        """Without a password."""
        return f"smtp://127.0.0.1:{self.port}"

    def events(self) -> list[dict[str, Any]]:
        """What happened: connections, and mails that were taken."""
        file = self.folder / "events.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def deliveries(self) -> list[list[str]]:
        """The receivers of each mail that was taken, in order."""
        return [each["to"] for each in self.events() if each["event"] == "mail"]

    def served(self) -> list[str]:
        """Every receiver of a mail that was taken, as often as it was."""
        return [address for receivers in self.deliveries() for address in receivers]

    def connections(self) -> int:
        """How many there were, the test's own first look left out."""
        return sum(each["event"] == "ehlo" for each in self.events())

    def mails(self) -> list[EmailMessage]:
        """The mails that were taken."""
        found = []
        for each in self.events():
            if each["event"] == "mail":
                raw = (self.folder / each["file"]).read_bytes()
                message = email.message_from_bytes(raw, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                found.append(message)
        return found

    def forgive(self) -> None:
        """From here on, every receiver's mail is taken."""
        (self.folder / "forgiven").touch()


@contextmanager
def smtp_process(folder: Path, *, mode: str = "plain") -> Iterator[SmtpProcess]:
    """Run a server; its certificate is `cert.pem` in the folder.

    Parameters:
        folder: Where it writes.
        mode: `plain`, `auth` (a password is asked for), `starttls` (TLS before all else, and a
            password), `tls` (TLS from the beginning), `small` (takes 20,000 bytes).
    """
    folder.mkdir(parents=True, exist_ok=True)
    if mode in ("starttls", "tls"):
        _write_certificate(folder)
    port = reserve_port()
    command = [sys.executable, "-m", "tests.support.smtp_process", str(folder), str(port), mode]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE)
    try:
        wait_until_sync(lambda: (folder / "ready").exists() or process.poll() is not None,
                        deadline_s=30, what="the SMTP server")  # fmt: skip
        assert process.poll() is None
        yield SmtpProcess(folder, port, process)
    finally:
        process.kill()
        process.communicate()
        give_back_port(port)


def _write_certificate(folder: Path) -> None:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail of a test")])
    names = x509.SubjectAlternativeName([
        x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")),
    ])  # fmt: skip
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class _Handler:
    """What the server does. The methods have aiosmtpd's names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def note(self, **event: Any) -> None:
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")

    def asked(self, address: str) -> str:
        if (self.folder / "forgiven").exists():
            return ""
        return address.partition("@")[0].partition("-")[0]

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.note(event="ehlo", tls=server.transport.get_extra_info("sslcontext") is not None)
        return responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if getattr(session, "tired", False):  # it hangs up when the next mail begins
            server.transport.abort()
            await asyncio.sleep(3600)
        if address.startswith("banned"):
            return "550 5.7.1 sender banned"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        asked = self.asked(address)
        if re.fullmatch(r"[45]\d\d", asked):
            words = {"550": "5.1.1 no such user", "554": "5.7.1 no mail of yours"}
            return f"{asked} {words.get(asked, '4.2.2 later')}"
        if asked == "dies":
            server.transport.abort()
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        asked = {self.asked(address) for address in envelope.rcpt_tos}
        if "spam" in asked:
            return "554 5.7.1 looks like spam"
        if "full" in asked:
            return "452 4.3.1 no room"
        if "drops" in asked:  # it hangs up before it has taken anything
            server.transport.abort()
            await asyncio.sleep(3600)
        self.count += 1
        name = f"{self.count:05}.eml"
        (self.folder / name).write_bytes(envelope.original_content)
        self.note(event="mail", to=list(envelope.rcpt_tos), sender=envelope.mail_from, file=name)
        if "hangup" in asked:
            server.transport.abort()
            await asyncio.sleep(3600)
        if "silent" in asked:
            await asyncio.sleep(3600)
        while "slow" in asked and not (self.folder / "go").exists():
            await asyncio.sleep(0.01)
        session.tired = "last" in asked
        return "250 OK"


async def _serve(folder: Path, port: int, mode: str) -> None:
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (
            (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        )
        return AuthResult(success=good, handled=False)

    handler = _Handler(folder)
    context = None
    if mode in ("starttls", "tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    more: dict[str, Any] = {"enable_SMTPUTF8": mode == "plain", "hostname": "mail.test"}
    if mode == "small":
        more["data_size_limit"] = 20_000
    if mode in ("auth", "starttls"):
        more.update(authenticator=login, auth_required=True, auth_require_tls=mode == "starttls")
    if mode == "starttls":
        more.update(tls_context=context, require_starttls=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, loop=loop, **more), "127.0.0.1", port,
        ssl=context if mode == "tls" else None,
    )  # fmt: skip
    (folder / "ready").touch()
    # It ends with the test's process: the pipe from there is closed then.
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
