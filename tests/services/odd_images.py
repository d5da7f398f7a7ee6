"""Many odd images: valid, cut short, damaged, spliced, lying about their size. Always the same.

As a program it puts each of them through the engine and says, a line each, what came of it:

    python -m tests.services.odd_images pillow
"""

from __future__ import annotations

import json
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

from PIL import Image
from tests.services.bombs import BOMBS
from tests.services.pictures import encode, exif, quadrants

from toril.core.process_memory import growth_limited
from toril.services.media.engines import open_engine
from toril.services.media.port import EngineKind, Fit, ImageFormat, ImageLimits, VariantSpec
from toril.services.unusable import UnusableInputError

SECONDS_EACH = 20
"""Far more than any takes, on a machine however busy."""
MEMORY_BYTES = 256 * 1024 * 1024

_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")

_KINDS: list[tuple[str, str, dict[str, object]]] = [
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True, "exif": exif(6)}),
    ("JPEG", "L", {"restart_marker_rows": 1}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("PNG", "RGB", {"exif": exif(3)}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "1", {}),
    ("PNG", "I;16", {}),
    ("PNG", "RGB", {"save_all": True}),
    ("GIF", "P", {"transparency": 3}),
    ("GIF", "RGB", {"save_all": True}),
    ("GIF", "L", {"interlace": 1, "comment": b"c" * 600}),
    ("WEBP", "RGB", {"exif": exif(8)}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True}),
    ("AVIF", "RGB", {"exif": exif(5)}),
    ("AVIF", "RGBA", {}),
    ("AVIF", "RGB", {"save_all": True}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw", "save_all": True}),
    ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "F", {}),
    ("TIFF", "LAB", {"big_tiff": True}),
]


def odd_images() -> Iterator[tuple[str, bytes]]:
    """Yield names and contents, the same ones each time."""
    chance = random.Random(11)
    whole = {
        f"{kind}-{mode}-{at}": _encoded(*_KINDS[at]) for at, (kind, mode, _) in enumerate(_KINDS)
    }
    for name, content in whole.items():
        yield name, content
        yield from _cut(name, content, chance)
        yield from _damaged(name, content, chance)
        yield from _lying(name, content, chance)
        other = chance.choice(list(whole.values()))
        yield f"{name}-continued", content[: len(content) // 2] + other
        yield f"{name}-twice", content + content
        yield f"{name}-followed", content + bytes(100_000)
    for name, (make, _) in BOMBS.items():
        yield name, make()
    for size in (0, 1, 2, 3, 4, 8, 12, 16, 64, 1_000):
        for head in (
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\xff\xff\xff\xffWEBP",
        ):
            yield f"noise-{head!r}-{size}", head + chance.randbytes(size)
        for head in (b"II*\0", b"MM\0*", b"II+\0", b"\0\0\0\x14ftypavif\0\0\0\0avif"):
            yield f"noise-{head!r}-{size}", head + chance.randbytes(size)


def _encoded(kind: str, mode: str, options: dict[str, object]) -> bytes:
    picture = quadrants(33, 21)
    if mode == "I;16":
        picture = Image.linear_gradient("L").resize((33, 21)).convert(mode)
    elif mode == "LAB":
        picture = Image.merge(mode, quadrants(33, 21).split())
    else:
        picture = picture.convert(mode)
    if options.get("save_all"):
        options = options | {"append_images": [picture.rotate(90 * turn) for turn in (1, 2)]}
    return encode(picture, kind, **options)


def _cut(name: str, content: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for _ in range(6):
        length = chance.randrange(len(content))
        yield f"{name}-cut-{length}", content[:length]


def _damaged(name: str, content: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for number in range(14):
        bad = bytearray(content)
        # Half of them where lengths and sizes are, half anywhere.
        reach = min(len(bad), 80) if number % 2 else len(bad)
        for _ in range(chance.choice((1, 1, 2, 8, 40))):
            bad[chance.randrange(4, reach)] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
        yield f"{name}-damaged-{number}", bytes(bad)
    begin = chance.randrange(len(content))
    yield f"{name}-without", content[:begin] + content[begin + 7 :]
    yield f"{name}-with", content[:begin] + chance.randbytes(7) + content[begin:]
    yield f"{name}-zeros", content[:begin].ljust(len(content), b"\0")
    yield f"{name}-ones", content[:begin].ljust(len(content), b"\xff")


def _lying(name: str, content: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Replace sizes of the picture wherever they stand, in any of the usual ways to write them."""
    for number in range(4):
        other = chance.choice((0, 1, 100, 4_000, 30_000, 65_535))
        bad = content
        for side in (33, 21):
            for order in _ORDERS:
                for width in (4, 3, 2):
                    found, lie = (value.to_bytes(width, order) for value in (side, other))
                    bad = bad.replace(found, lie, chance.randrange(3))
        yield f"{name}-lying-{number}", bad


def main() -> None:
    """Put each through the engine."""
    warnings.simplefilter("ignore")  # Pillow's, over tags that make no sense
    engine = open_engine(EngineKind(sys.argv[1]), ImageLimits(formats=frozenset(ImageFormat)))
    specs = [VariantSpec(name="v", width_px=16, height_px=16, fit=Fit.INSIDE)]
    for name, content in odd_images():
        print(json.dumps(name), end=" ", flush=True)  # before: it may be the last
        signal.alarm(SECONDS_EACH)
        try:
            with growth_limited(MEMORY_BYTES):
                [made] = engine.render(content, specs, name="a")
            outcome = "processed" if made.content[:4] == b"RIFF" else "nothing made"
        except UnusableInputError as error:
            outcome = f"refused: {error.reason}"
        except Exception as error:
            outcome = f"raised {type(error).__name__}: {error}"
        signal.alarm(0)
        print(json.dumps(outcome), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
