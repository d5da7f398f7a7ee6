"""Answers a word of another queue with ours: `task.delay` says that it is `task.enqueue` here.

A class is told which words it does not have. Each becomes a descriptor that raises an
`AttributeError` with the answer. So nothing is paid until somebody uses one (a `__getattr__` would
slow every attribute down on Python 3.11), `hasattr` says no, and type checkers see no such name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

T = TypeVar("T")


class ForeignWord:
    """A name that a class does not have, and what is there in its place."""

    __slots__ = ("_answer", "_name")

    def __init__(self, name: str, answer: str) -> None:
        self._name = name
        self._answer = answer

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no {self._name!r}: {self._answer}")


def answers(words: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Return a decorator for a class whose users may know such a thing by another word.

    A name that the class has itself stays.

    Parameters:
        words: Names of others, and what is there in their place, as the rest of a sentence.
    """

    def decorate(kind: type[T]) -> type[T]:
        for name, answer in words.items():
            if not any(name in vars(each) for each in kind.__mro__):
                setattr(kind, name, ForeignWord(name, answer))
        return kind

    return decorate
