"""Tasks that the tests run in child processes. `Task` is the least that a target must be."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from toril.core.codec import decode, encode_bytes
from toril.engine.context import Context
from toril.engine.outcomes import Fail, Retry, Snooze

Function = Callable[[Any, Context, Mapping[type, object]], object]


class Task:
    """A function that can be run here."""

    __module__: str
    __qualname__: str

    def __init__(self, function: Function) -> None:
        self.__module__ = function.__module__
        self.__qualname__ = function.__qualname__
        self._function = function

    def run_here(self, payload: bytes, context: Context, provided: Mapping[type, object]) -> bytes:
        return encode_bytes(self._function(decode(payload), context, provided))


@dataclass(frozen=True)
class Settings:
    bucket: str


class PlainError(Exception):
    pass


class OddError(Exception):
    """Pickles, but cannot be unpickled: its arguments are not those of its constructor."""

    def __init__(self, code: int, path: str) -> None:
        super().__init__(f"odd {code} at {path}")


class HoldingError(Exception):
    """Cannot be pickled at all."""

    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


KEPT: list[object] = []
PROCEED = threading.Event()


@Task
def echo(payload: Any, context: Context, provided: object) -> object:
    return payload


@Task
def pid(payload: Any, context: Context, provided: object) -> int:
    return os.getpid()


@Task
def about(payload: Any, context: Context, provided: object) -> dict[str, object]:
    return {
        "job_id": context.job_id,
        "key": context.idempotency_key,
        "leader": os.getpgrp() == os.getpid(),
        "stdin": sys.stdin.read(),
        "argv": sys.argv,
        "path": sys.path,
        "main_thread": threading.current_thread() is threading.main_thread(),
    }


@Task
def bucket(payload: Any, context: Context, provided: Mapping[type, object]) -> str:
    settings = provided[Settings]
    assert isinstance(settings, Settings)
    return settings.bucket


@Task
def mebibytes(payload: int, context: Context, provided: object) -> str:
    return "x" * (payload * 1024 * 1024)


@Task
def talk(payload: int, context: Context, provided: object) -> None:
    for number in range(payload):
        context.log(f"line {number}")
        context.progress(number)
    context.enqueue("notify", {"done": True})


@Task
def noise(payload: Any, context: Context, provided: object) -> str:
    print("\x00\x00\x00\x05noise", flush=True)
    os.write(1, os.urandom(100_000).hex().encode())
    return "quiet"


@Task
def late_voice(payload: Any, context: Context, provided: object) -> None:
    def speak() -> None:
        PROCEED.wait()
        context.log("from the job before")

    thread = threading.Thread(target=speak)
    KEPT.append(thread)
    thread.start()


@Task
def let_late_voice_speak(payload: Any, context: Context, provided: object) -> None:
    PROCEED.set()
    for thread in KEPT:
        assert isinstance(thread, threading.Thread)
        thread.join()
    context.log("from this job")


@Task
def raise_plain(payload: Any, context: Context, provided: object) -> NoReturn:
    error = PlainError("the file is empty", 7)
    error.add_note("a note")
    raise error


@Task
def raise_odd(payload: Any, context: Context, provided: object) -> NoReturn:
    raise OddError(5, "/in")


@Task
def raise_holding(payload: Any, context: Context, provided: object) -> NoReturn:
    raise HoldingError


@Task
def raise_mute(payload: Any, context: Context, provided: object) -> NoReturn:
    raise MuteError


@Task
def raise_surrogates(payload: Any, context: Context, provided: object) -> NoReturn:
    raise ValueError(os.fsdecode(b"caf\xe9.jpg"))


@Task
def raise_from_elsewhere(payload: Any, context: Context, provided: object) -> NoReturn:
    module = types.ModuleType("only_in_the_child")
    sys.modules[module.__name__] = module
    kind = type("StrangeError", (Exception,), {"__module__": module.__name__})
    vars(module)["StrangeError"] = kind
    raise kind("strange")


@Task
def raise_exit(payload: Any, context: Context, provided: object) -> NoReturn:
    sys.exit(3)


@Task
def raise_cancelled(payload: Any, context: Context, provided: object) -> NoReturn:
    raise asyncio.CancelledError


@Task
def raise_stop_iteration(payload: Any, context: Context, provided: object) -> NoReturn:
    raise StopIteration


@Task
def raise_outcome(payload: str, context: Context, provided: object) -> NoReturn:
    if payload == "retry":
        raise Retry("later", after_s=2.5)
    if payload == "snooze":
        raise Snooze(until=datetime(2030, 1, 1, tzinfo=UTC))
    raise Fail("no such user")


@Task
def segfault(payload: Any, context: Context, provided: object) -> None:
    ctypes.string_at(0)


@Task
def kill_itself(payload: Any, context: Context, provided: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@Task
def leave(payload: int, context: Context, provided: object) -> None:
    os._exit(payload)


@Task
def exhaust_at_once(payload: int, context: Context, provided: object) -> int:
    return len(bytearray(payload))


@Task
def exhaust_bit_by_bit(payload: int, context: Context, provided: object) -> NoReturn:
    pieces: list[object] = []
    while True:
        pieces.append([len(pieces)] * 100)


@Task
def grow(payload: int, context: Context, provided: object) -> int:
    KEPT.append(b"x" * payload)
    return os.getpid()


@Task
def spin(payload: Any, context: Context, provided: object) -> NoReturn:
    context.log("begun")
    while True:
        pass


@Task
def spin_in_native_code(payload: Any, context: Context, provided: object) -> None:
    context.log("begun")
    re.match(r"(a+)+$", "a" * 64 + "b")


@Task
def spin_with_grandchild(payload: Any, context: Context, provided: object) -> None:
    grandchild = subprocess.Popen(["sleep", "1000"])
    context.log(str(os.getpid()))
    context.log(str(grandchild.pid))
    re.match(r"(a+)+$", "a" * 64 + "b")


@Task
def wait_for_grandchild(payload: Any, context: Context, provided: object) -> None:
    with subprocess.Popen(["sleep", "1000"]) as grandchild:
        context.log(str(os.getpid()))
        context.log(str(grandchild.pid))


@Task
def read_pipe(payload: str, context: Context, provided: object) -> str:
    context.log("begun")
    with open(payload) as pipe:
        return pipe.read()


@Task
def fork_and_return(payload: Any, context: Context, provided: object) -> str:
    copy = os.fork()
    if copy == 0:
        return "from the copy"
    os.waitpid(copy, 0)
    return "from the original"


@Task
def fork_and_speak(payload: Any, context: Context, provided: object) -> int:
    copy = os.fork()
    if copy == 0:
        context.log("from the copy")
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


@Task
def fork_and_leave(payload: Any, context: Context, provided: object) -> None:
    copy = os.fork()
    if copy == 0:
        threading.Event().wait()
    context.log(str(copy))
    os._exit(0)


@Task
def close_everything(payload: str, context: Context, provided: object) -> int:
    os.closerange(3, 4096)
    for number in range(8):  # take the numbers that were just given back
        os.open(f"{payload}/{number}", os.O_WRONLY | os.O_CREAT)
    return 1


not_a_task = "a text"
under_another_name = Task(lambda payload, context, provided: payload)
