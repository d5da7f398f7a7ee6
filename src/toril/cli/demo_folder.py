"""The demo's folder, and the photographs that go into it. The originals are only ever read."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toril.cli.codes import USAGE, RefusedError
from toril.library.images.samples import sample_folder
from toril.library.images.settings import MediaSettings
from toril.services.media.port import EngineKind

MARK = ".toril-demo"
"""A file that tells a folder of ours from somebody else's."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif"})
"""Files that are taken, by the end of their names; the work itself looks at their content."""
ALSO_PICTURES = frozenset({".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".raw", ".dng"})
"""Files that somebody will miss when they are passed over."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to be put through."""

    path: Path
    name: str
    """From the folder given."""
    media_id: str
    """Names the folder of what comes out."""
    planted: bool = False
    """One of ours that has to be refused."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a folder."""

    photos: list[Photo]
    passed_over: int
    """Pictures of kinds that are not taken."""


class DemoFolder:
    """Everything that a demo leaves behind."""

    def __init__(self, root: Path, *, engine: str = EngineKind.PILLOW) -> None:
        self._engine = EngineKind(engine)
        self.root = root
        self.public = root / "public"
        self.uploads = root / "uploads"
        self.quarantine = root / "quarantine"
        self.locks = root / "locks"
        self.samples = root / "samples"
        self.url = f"sqlite:///{root / 'toril.db'}"

    @property
    def settings(self) -> MediaSettings:
        """Where the image work finds and puts things."""
        return MediaSettings(
            media_root=self.public,
            temp_dir=self.uploads,
            quarantine_dir=self.quarantine,
            lock_dir=self.locks,
            database_url=f"sqlite:///{self.root / 'media.db'}",
            engine=self._engine,
        )

    @contextmanager
    def held(self, *, keep: bool) -> Iterator[None]:
        """Make the folder and hold it for the block; empty it first unless `keep`.

        Raises:
            RefusedError: It holds things that no demo made, or another demo is at work in it.
        """
        if self.root.exists() and not self.root.is_dir():
            raise RefusedError(f"{self.root} is not a folder: give another with --output", USAGE)
        path = self.root / MARK
        if self.root.is_dir() and not path.exists() and any(self.root.iterdir()):
            raise RefusedError(
                f"{self.root} is not empty and no demo made it: give another folder with --output",
                USAGE,
            )
        self.root.mkdir(parents=True, exist_ok=True)
        with path.open("a") as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
            except BlockingIOError:
                raise RefusedError(f"another demo is at work in {self.root}") from None
            if not keep:
                self._clear()
            self.uploads.mkdir(exist_ok=True)
            yield

    def _clear(self) -> None:
        """Remove what demos make, by name: whatever else was put here stays."""
        for folder in (self.public, self.uploads, self.quarantine, self.locks, self.samples):
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
        for file in [*self.root.glob("toril.db*"), *self.root.glob("media.db*")]:
            file.unlink()

    def upload(self, photo: Photo) -> tuple[str, int]:
        """Copy a photograph to where uploads wait; return its name there and its size in bytes."""
        name = photo.media_id + photo.path.suffix.lower()
        copy = self.uploads / name
        shutil.copyfile(photo.path, copy)
        return name, copy.stat().st_size

    def remove_uploads(self) -> None:
        """Remove copies that nobody will ask for any more."""
        shutil.rmtree(self.uploads, ignore_errors=True)


def shipped(folder: DemoFolder) -> Found:
    """Return our own photographs, and the three bad files beside them."""
    paths = sample_folder(folder.samples)
    photos = [
        Photo(path, path.name, path.stem, planted=path.name.startswith("bad-")) for path in paths
    ]
    return Found(photos, 0)


def find_photos(source: Path, output: Path) -> Found:
    """Return the photographs in a folder and its folders, hidden ones left out; or the one file.

    Parameters:
        source: Where to look. Links to folders are not followed.
        output: The demo's own folder, which is passed over.

    Raises:
        RefusedError: There is no such folder, or it has no photographs.
    """
    if not source.exists():
        raise RefusedError(f"{source}: no such folder", USAGE)
    own = output.resolve()
    if source.resolve().is_relative_to(own):
        raise RefusedError(f"{source} is what the demo itself made: give another folder", USAGE)
    paths = _walk(source, own) if source.is_dir() else [source]
    taken = [path for path in paths if path.suffix.lower() in SUFFIXES]
    passed_over = sum(path.suffix.lower() in ALSO_PICTURES for path in paths)
    if not taken:
        also = f" ({passed_over} of other kinds)" if passed_over else ""
        raise RefusedError(
            f"{source} has no JPEG, PNG, WebP or GIF files{also}: give a folder of photographs, or"
            " none for the ones that come along",
            USAGE,
        )
    base = source if source.is_dir() else source.parent
    names = [str(path.relative_to(base)) for path in taken]
    ids = media_ids(names)
    return Found(
        [Photo(path, name, each) for path, name, each in zip(taken, names, ids, strict=True)],
        passed_over,
    )


def media_ids(names: Iterable[str]) -> list[str]:
    """Return an id for each name: readable, usable as a folder, and no two the same.

    Parameters:
        names: Paths; the end of the name does not count.
    """
    taken: set[str] = set()
    ids = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9]+", "-", os.path.splitext(name)[0]).strip("-")[-60:]
        base = plain.strip("-") or "photo"
        media_id, count = base, 1
        while media_id.lower() in taken:  # on some disks case makes no difference
            count += 1
            media_id = f"{base}-{count}"
        taken.add(media_id.lower())
        ids.append(media_id)
    return ids


def _walk(source: Path, own: Path) -> list[Path]:
    found = []
    for where, folders, files in os.walk(source):
        here = Path(where)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and (here / name).resolve() != own
        )
        found += [
            here / name for name in sorted(files) if name[0] != "." and (here / name).is_file()
        ]
    return found
