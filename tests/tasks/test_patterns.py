"""Types that crash msgspec are refused before it sees them.

Seen with msgspec 0.22.0, which frees memory twice: a text with a pattern in a union with an array
or a dict.
Each try is a process of its own, as that of a fault here dies.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import collections.abc, typing
from typing import Annotated, Any, NewType, Optional, Union
import msgspec
from msgspec import Meta
from toril import App
from toril.core.errors import InvalidOptionError

Word = Annotated[str, Meta(pattern="^a")]
Name = NewType("Name", Word)
Words = Union[list[str], None]

class Mail(msgspec.Struct):
    to: Word | list[str]

app = App()
async def task(to): ...
task.__annotations__["to" if {of_parameter} else "return"] = {kind}
try:
    app.task(name="send")(task)
except InvalidOptionError as error:
    print(error)
"""

REFUSED = {
    "Word | list[str]": "list[str]",
    "list[Word] | Word | None": "list[",
    "Annotated[Word, Meta(max_length=9)] | list[Any]": "list[typing.Any]",
    "Annotated[str, Meta(max_length=9), Meta(pattern='^a')] | list[int]": "list[int]",
    "Word | list": "list",
    "Word | set[str]": "set[str]",
    "Word | frozenset[str]": "frozenset[str]",
    "Word | tuple[int, ...]": "tuple[int, ...]",
    "Word | tuple": "tuple",
    "Word | typing.Sequence[str]": "typing.Sequence[str]",
    "Word | dict[str, int]": "dict[str, int]",
    "Word | collections.abc.Mapping[str, int]": "collections.abc.Mapping[str, int]",
    "Union[Name, list[str]]": "list[str]",
    "Union[Word, NewType('Many', Words)]": "list[str]",
    "list[Optional[Word | list[str]]]": "list[str]",
    "Annotated[Word | list[str], Meta(title='t')]": "list[str]",
}


def said_of(kind: str, *, of_parameter: bool = True) -> str:
    """Return what is said of a task with such a type, in a process of its own."""
    program = PROGRAM.replace("{kind}", kind).replace("{of_parameter}", str(of_parameter))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize("kind", REFUSED)
def test_pattern_beside_many_is_refused_and_the_way_out_is_told(kind: str) -> None:
    said = said_of(kind)

    assert said.startswith("task 'send', parameter 'to': ")
    assert f"msgspec crashes on a text with a pattern beside {REFUSED[kind]}" in said
    assert said.endswith("or give them two fields")


def test_pattern_beside_many_in_a_record_is_refused_by_the_name_of_its_field() -> None:
    said = said_of("Mail")

    assert said.startswith("task 'send', parameter 'to': ")
    assert said.endswith("which is Mail.to")


def test_pattern_beside_many_is_refused_as_a_result() -> None:
    said = said_of("Word | list[str]", of_parameter=False)

    assert "msgspec crashes on a text with a pattern beside list[str]" in said


@pytest.mark.parametrize(
    "kind",
    [
        "Word",
        "Word | None",
        "Word | int",
        "list[Word]",
        "dict[str, Word]",
        "str | list[Word]",
        "Annotated[str, Meta(max_length=9)] | list[str]",
        "Word | tuple[int, int]",
    ],
)
def test_patterns_elsewhere_are_taken(kind: str) -> None:
    assert said_of(kind) == ""
