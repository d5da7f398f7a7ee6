"""`terminal` is what every test here begins with."""

from __future__ import annotations

from tests.cli.support import terminal

__all__ = ["terminal"]
