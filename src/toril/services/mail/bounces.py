"""Tells a mailbox that does not exist from the other reasons why a mail is refused for good."""

from __future__ import annotations

import re

from toril.services.mail.port import Refusal

_ENHANCED = re.compile(r"\b5\.(\d{1,3})\.(\d{1,3})\b")
_NO_MAILBOX = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})
"""Bad mailbox, bad host, bad syntax, moved away, no mail here at all, mailbox disabled."""
_PLAIN = frozenset({550, 551, 553})


def is_hard_bounce(refusal: Refusal) -> bool:
    """Whether nobody will ever read mail at this address.

    A mail that is refused for what it says, for who sends it, or since the mailbox is full, is no
    hard bounce: the address is good.

    Parameters:
        refusal: The server's answer to an address.

    Source:
        RFC 3463 and RFC 7505 for the codes in the text; RFC 5321, 4.2.3, for answers without one.
    """
    if not refusal.for_good:
        return False
    found = _ENHANCED.search(refusal.text)
    if found is not None:
        return (int(found[1]), int(found[2])) in _NO_MAILBOX
    return refusal.code in _PLAIN
