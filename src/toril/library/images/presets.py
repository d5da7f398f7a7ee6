"""Which sizes an upload gets, by its entity type. Data: shipped as TOML, extended the same way."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from toril.core.checks import nearest, require
from toril.core.errors import InvalidOptionError
from toril.services.media.port import Fit, VariantSpec
from toril.services.unusable import UnusableInputError, named

# Both become names of folders and files, on any file system and in any URL.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAME_RULE = "1 to 64 of a-z, 0-9, '_' and '-', beginning with a letter or digit"


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    width: int
    height: int
    fit: Fit


@dataclass(frozen=True, slots=True)
class Presets:
    """The entity types that are known, each with its variants.

    Parameters:
        by_entity: Entity type to variants. Exactly these are known; see `extended`.

    Raises:
        InvalidOptionError: A name cannot be a folder's, a list is empty, or a name occurs twice.
    """

    by_entity: Mapping[str, Sequence[VariantSpec]]

    def __post_init__(self) -> None:
        require(bool(self.by_entity), "presets", {}, "at least one entity type")
        frozen = {entity: tuple(specs) for entity, specs in self.by_entity.items()}
        for entity, specs in frozen.items():
            require(bool(_NAME.fullmatch(entity)), "presets: entity type", entity, _NAME_RULE)
            where = f"presets: variants of {entity!r}"
            names = [spec.name for spec in specs]
            require(bool(names), where, names, "at least one")
            require(len(set(names)) == len(names), where, names, "each name once")
            for name in names:
                require(bool(_NAME.fullmatch(name)), f"{where}: name", name, _NAME_RULE)
        object.__setattr__(self, "by_entity", frozen)

    @staticmethod
    def shipped() -> Presets:
        """Return `user_avatar`, `company_photo` and `default`."""
        return _shipped()

    @staticmethod
    def from_mapping(raw: Mapping[str, object], *, source: str = "presets") -> Presets:
        """Return presets from plain data.

        Parameters:
            raw: Entity type to `{"variants": [{name, width, height, fit}, …]}`, or to that list
                itself. Sides in pixels; `fit` is `cover` or `inside`.
            source: What to call the data in an error.

        Raises:
            InvalidOptionError: It does not have this form; the message ends with the place.
        """
        return Presets({entity: _specs(entity, held, source) for entity, held in raw.items()})

    @staticmethod
    def from_file(path: str | Path) -> Presets:
        """Return presets from a TOML file: a table per entity type with its `variants`.

        Raises:
            InvalidOptionError: It cannot be read, is not TOML, or does not have this form.
        """
        try:
            raw = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise InvalidOptionError(
                f"presets file {str(path)!r}: {error.strerror}; name a TOML file that can be read"
            ) from error
        except ValueError as error:  # not TOML, or not UTF-8
            raise InvalidOptionError(f"presets file {str(path)!r} is not TOML: {error}") from error
        return Presets.from_mapping(raw, source=f"presets file {str(path)!r}")

    def extended(self, more: Presets) -> Presets:
        """Return these presets and `more`; where both know an entity type, `more` decides."""
        return Presets({**self.by_entity, **more.by_entity})

    def of(self, entity_type: str) -> tuple[VariantSpec, ...]:
        """Return the variants of an entity type.

        Raises:
            UnusableInputError: It is not known. The message names the nearest and all that are.
        """
        specs = self.by_entity.get(entity_type)
        if specs is not None:
            return tuple(specs)
        close = nearest(entity_type, self.by_entity)
        hint = f"did you mean {close!r}? " if close else ""
        known = ", ".join(sorted(self.by_entity))
        raise UnusableInputError(
            named("entityType", entity_type), f"not known; {hint}known are {known}"
        )


@cache
def _shipped() -> Presets:
    text = files("toril.library.images").joinpath("presets.toml").read_text("utf-8")
    return Presets.from_mapping(tomllib.loads(text))


def _specs(entity: str, held: object, source: str) -> tuple[VariantSpec, ...]:
    listed = held
    if isinstance(held, Mapping):
        other = sorted(set(held) - {"variants"})
        require(not other, f"{source}: {entity}", other, "'variants' and nothing else")
        listed = held.get("variants")
    try:
        lines = msgspec.convert(listed, list[_Line])
    except msgspec.ValidationError as error:
        raise InvalidOptionError(
            f"{source}: {entity}: {error}; expected a list of name, width, height and"
            " fit ('cover' or 'inside')"
        ) from error
    try:
        return tuple(
            VariantSpec(name=line.name, width_px=line.width, height_px=line.height, fit=line.fit)
            for line in lines
        )
    except InvalidOptionError as error:
        raise InvalidOptionError(f"{source}: {entity}: {error}") from error
