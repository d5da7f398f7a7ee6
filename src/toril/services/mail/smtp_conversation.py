"""One mail over one SMTP connection: sender, receivers, content; and what each answer means.

The only step whose lost answer leaves something unknown is the last: the server has all of the mail
then, and may have taken it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toril.services.mail.message import ascii_address, bare
from toril.services.mail.port import MailError, MailRefusedError, MailUnknownError, Refusal

_DOT = re.compile(rb"(?m)^\.")
_GOOD = frozenset({250, 251})
_GO_AHEAD = 354
_SIZE_EXCEEDED = 552
_MAX_SAID_CHARS = 300


class HungUpError(MailError):
    """The connection broke before the mail was handed over: nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a server is told before the content."""

    sender: str
    receivers: Sequence[str]
    unicode: bool
    """Whether an address has more than ASCII before its `@`."""


async def converse(
    client: Any,
    envelope: Envelope,
    content: bytes,
    *,
    place: str,
    answer_timeout_s: float,
) -> Mapping[str, Refusal]:
    """Hand a mail over; return the receivers that were refused, if not all were.

    Parameters:
        client: A connection of aiosmtplib's.
        envelope: Who sends, and who gets it.
        content: The mail as bytes, each line with CR and LF at its end.
        place: What messages call the server.
        answer_timeout_s: How long it may take to answer once it has all, in seconds.

    Raises:
        MailRefusedError, MailUnknownError, MailError: As `Mailer.send`.
        HungUpError: The connection broke on the way.
    """
    from aiosmtplib import SMTPException  # it is there: the connection is its own

    options = _options(client, envelope, content, place)
    try:
        said = await client.execute_command(b"MAIL", _path(b"FROM:", envelope.sender), *options)
        if said.code != 250:
            await _reset(client)
            raise _error(place, said, f"refused the sender {envelope.sender}")
        refused: dict[str, Refusal] = {}
        for receiver in envelope.receivers:
            said = await client.execute_command(b"RCPT", _path(b"TO:", receiver))
            if said.code not in _GOOD:
                refused[receiver] = _refusal(said)
                if said.code == 421:  # it hangs up, whoever comes next
                    raise _error(place, said, "ended the conversation")
        if len(refused) == len(envelope.receivers):
            await _reset(client)
            raise refusal_of_all(place, refused)
        said = await client.execute_command(b"DATA")
        if said.code != _GO_AHEAD:
            await _reset(client)
            raise _refused_content(place, said, envelope, refused)
    except (OSError, SMTPException) as error:  # it hung up, was silent, or spoke no SMTP
        raise HungUpError(f"{place}: {_plain(error)}") from None
    try:
        client.protocol.write(_DOT.sub(b"..", content) + b".\r\n")
        said = await client.protocol.read_response(timeout=answer_timeout_s)
    except (OSError, SMTPException) as error:
        client.close()
        raise MailUnknownError(
            f"{place}: the mail was handed over and the answer was lost ({_plain(error)}): it may"
            " have been taken"
        ) from None
    if said.code != 250:
        raise _refused_content(place, said, envelope, refused)
    return refused


def refusal_of_all(place: str, refused: Mapping[str, Refusal]) -> MailError:
    """Return the error of a mail that was refused for everybody."""
    kind = MailRefusedError if all(each.for_good for each in refused.values()) else MailError
    said = "; ".join(f"{address}: {refusal}" for address, refusal in refused.items())
    return kind(f"{place} refused {said}", refusals=refused)


def _options(client: Any, envelope: Envelope, content: bytes, place: str) -> list[bytes]:
    """Return what `MAIL FROM` is followed by.

    Raises:
        MailRefusedError: The server does not take such a mail, by what it says of itself.
    """
    options = []
    if client.supports_extension("size"):
        most = str(client.esmtp_extensions.get("size") or "0").strip()
        if most.isdecimal() and 0 < int(most) < len(content):
            too_large = Refusal(_SIZE_EXCEEDED, f"5.3.4 the mail has {len(content):,} bytes, and"
                                f" the server takes at most {int(most):,}")  # fmt: skip
            raise refusal_of_all(place, dict.fromkeys(envelope.receivers, too_large))
        options.append(f"SIZE={len(content)}".encode())
    if envelope.unicode:
        if not client.supports_extension("smtputf8"):
            wide = Refusal(553, "5.6.7 the server takes no addresses beyond ASCII (SMTPUTF8)")
            raise refusal_of_all(place, dict.fromkeys(envelope.receivers, wide))
        options.append(b"SMTPUTF8")
        options.append(b"BODY=8BITMIME")
    return options


def _path(word: bytes, address: str) -> bytes:
    return word + b"<" + ascii_address(bare(address)).encode() + b">"


def _refused_content(
    place: str, said: Any, envelope: Envelope, refused: Mapping[str, Refusal]
) -> MailError:
    rest = dict.fromkeys(envelope.receivers, _refusal(said))
    return refusal_of_all(place, {**rest, **refused})


def _refusal(said: Any) -> Refusal:
    return Refusal(said.code, " ".join(said.message.split())[:_MAX_SAID_CHARS])


def _error(place: str, said: Any, what: str) -> MailError:
    kind = MailRefusedError if said.code >= 500 else MailError
    return kind(f"{place} {what}: {_refusal(said)}")


async def _reset(client: Any) -> None:
    """Make the connection ready for another mail."""
    try:
        await client.execute_command(b"RSET")
    except OSError:  # what the server said before is worth more than how it said goodbye
        client.close()


def _plain(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
