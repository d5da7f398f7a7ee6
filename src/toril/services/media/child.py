"""A media child's own side: does one order after the other, and ends with its parent.

Runs as a program of its own. It is killed when an order is cancelled or takes too long, and kills
itself when it holds too much memory or nobody listens any more.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
import threading
import time
from typing import BinaryIO

from toril.core.errors import MissingExtraError
from toril.core.process_memory import growth_limited, own_resident_bytes
from toril.services.media.child_words import (
    Failed,
    ImageDone,
    Made,
    Missing,
    Order,
    ProcessVideo,
    Progressed,
    Refused,
    RenderImage,
    Said,
    TooMuchMemory,
    VideoDone,
    line_of,
    order_of,
)
from toril.services.unusable import UnusableInputError

_WATCH_S = 0.05
_SHOWN_CHARS = 200


class Child:
    """Reads orders from one pipe and answers on another."""

    def __init__(self, orders: BinaryIO, answers: int) -> None:
        self._orders = orders
        self._answers = answers
        self._saying = threading.Lock()
        self._limit_bytes: int | None = None
        """Of the order in hand. None: there is none."""
        self._log = tempfile.TemporaryFile()
        # What FFmpeg has to say goes there: see `said`.
        os.dup2(self._log.fileno(), 2)

    def run(self) -> None:
        """Do orders until there are no more."""
        threading.Thread(target=self._watch, name="toril-watch", daemon=True).start()
        while line := self._orders.readline():
            order = order_of(line)
            os.ftruncate(self._log.fileno(), 0)
            os.lseek(self._log.fileno(), 0, os.SEEK_SET)
            self._limit_bytes = order.max_resident_bytes
            ending = self._ending(order)
            self._limit_bytes = None
            self.say(ending)

    def say(self, said: Said) -> None:
        """Tell the parent."""
        text = line_of(said)
        with self._saying:
            while text:
                text = text[os.write(self._answers, text) :]

    def said(self) -> str:
        """Return the last line that FFmpeg has written, without what it calls its parts."""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 4096, max(0, size - 4096))
        lines = [line.strip() for line in tail.decode(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return last.rpartition("] ")[2][:_SHOWN_CHARS]

    def _ending(self, order: Order) -> Said:
        try:
            if isinstance(order, RenderImage):
                return self._image(order)
            return self._video(order)
        except UnusableInputError as error:
            return Refused(error.subject, error.reason)
        except MissingExtraError as error:
            return Missing(str(error))
        except MemoryError:
            return TooMuchMemory(order.limits.max_memory_bytes)
        except Exception as error:
            return Failed(f"{type(error).__name__}: {error}")

    def _image(self, order: RenderImage) -> ImageDone:
        # Here: a child may never see an image.
        from toril.services.media.engines import open_engine
        from toril.services.media.pillow import keep_memory

        keep_memory()
        engine = open_engine(order.engine, order.limits, quality=order.quality)
        content = order.source.read_bytes()
        formats = {spec.name: spec.format for spec in order.specs}
        made: dict[str, Made] = {}
        with growth_limited(order.limits.max_memory_bytes):
            for each in engine.render(content, order.specs, name=order.name):
                kind = formats[each.name]
                path = order.folder / f"{each.name}{kind.suffix}"
                path.write_bytes(each.content)
                made[each.name] = Made(
                    name=each.name,
                    format=kind,
                    path=path,
                    width_px=each.width_px,
                    height_px=each.height_px,
                    size_bytes=len(each.content),
                )
                self.say(Progressed(100 * len(made) // len(order.specs)))
        return ImageDone([made[spec.name] for spec in order.specs])

    def _video(self, order: ProcessVideo) -> VideoDone:
        from toril.services.media.pyav import PyavEngine  # here: a child may never see a video

        engine = PyavEngine(order.limits, said=self.said)
        return VideoDone(
            engine.transcode(
                order.source,
                order.target,
                order.poster,
                order.plan,
                name=order.name,
                report=lambda percent: self.say(Progressed(percent)),
            )
        )

    def _watch(self) -> None:
        """End this process when it holds too much memory, or its parent has gone."""
        poll = select.poll()
        poll.register(self._orders.fileno(), select.POLLIN)
        while True:
            time.sleep(_WATCH_S)
            limit = self._limit_bytes
            if limit is None:
                continue
            held = own_resident_bytes()
            if held > limit:
                self.say(TooMuchMemory(held))
                os._exit(1)
            # While an order is in hand, nothing comes but the end of the pipe.
            if poll.poll(0) and self._limit_bytes is not None:
                os._exit(1)


def main() -> None:
    """Be a child."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whoever prints must not answer for us
    Child(sys.stdin.buffer, answers).run()
