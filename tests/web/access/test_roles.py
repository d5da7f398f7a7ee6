"""What each role may do, where a caller is limited to queues, and what names of queues match."""

from __future__ import annotations

import itertools
import time

import pytest

from toril.core.wildcards import matches
from toril.web.access.port import Permission, Principal, Role

MAY = {
    Role.VIEWER: {Permission.READ},
    Role.SUBMITTER: {Permission.READ, Permission.SUBMIT},
    Role.OPERATOR: {Permission.READ, Permission.SUBMIT, Permission.OPERATE},
    Role.ADMIN: {Permission.READ, Permission.SUBMIT, Permission.OPERATE, Permission.ADMIN},
}


def who(role: Role, queues: tuple[str, ...] | None = None, *, payloads: bool = False) -> Principal:
    return Principal("somebody", "key", role, queues, payloads)


@pytest.mark.parametrize(("role", "permission"), [*itertools.product(Role, Permission)])
@pytest.mark.parametrize("payloads", [True, False])
def test_role_may_what_the_table_says(role: Role, permission: Permission, payloads: bool) -> None:
    expected = payloads if permission is Permission.PAYLOADS else permission in MAY[role]

    everywhere = who(role, payloads=payloads)
    limited = who(role, ("mail", "shop-*"), payloads=payloads)

    assert everywhere.may(permission) == expected
    assert everywhere.may(permission, "billing") == expected
    assert limited.may(permission, "mail") == expected
    assert limited.may(permission, "shop-eu") == expected
    assert not limited.may(permission, "billing")
    only_reading = permission in (Permission.READ, Permission.PAYLOADS)
    assert limited.may(permission) == (expected and only_reading)
    assert everywhere.may_somewhere(permission) == limited.may_somewhere(permission) == expected


def test_who_is_limited_to_no_queue_may_nothing_to_any() -> None:
    nobody = who(Role.ADMIN, (), payloads=True)

    assert not any(nobody.may(permission, "mail") for permission in Permission)
    assert not nobody.may_somewhere(Permission.READ)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("mail", "mail", True),
        ("mail", "Mail", False),
        ("mail", "mail2", False),
        ("mail", "mai", False),
        ("mail*", "mail", True),
        ("mail*", "mailbox", True),
        ("*mail", "email", True),
        ("a*b", "ab", True),
        ("a*b", "a", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("a**c", "abc", True),
        ("*", "", True),
        ("*", "any\nthing", True),
        ("[ab]?", "a1", False),
        ("[ab]?", "[ab]?", True),
        (".*", "mail", False),
    ],
)
def test_pattern_of_queues(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) == fits
    assert who(Role.VIEWER, ("other", pattern)).sees(name) == fits


def test_long_pattern_takes_no_time_that_grows_without_bounds() -> None:
    """As a regular expression it would take longer than there is time."""
    begin = time.process_time()

    assert not matches("*a" * 200 + "b", "a" * 500)

    assert time.process_time() - begin < 5


def test_actor_can_be_printed_and_is_not_too_long() -> None:
    odd = Principal("jo\x1b[2J\n" + "x" * 500, "host", Role.VIEWER, None, False)

    assert odd.actor.startswith("host:jo?[2J?x")
    assert odd.actor.isprintable()
    assert len(odd.actor) == 200
