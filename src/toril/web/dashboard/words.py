"""Words for states, health and concerns: each has an icon and a colour."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from toril.web.dashboard.messages import catalogue
from toril.web.dashboard.page import N_


class Word(msgspec.Struct, frozen=True):
    """How something is shown."""

    label: str
    icon: str
    tone: str
    """A colour: `good`, `bad`, `warn`, `info`, `quiet` or `busy`."""


_STATES: Mapping[str, tuple[str, str, str]] = {
    "wait": (N_("waiting"), "wait", "info"),
    "prioritized": (N_("prioritized"), "up", "info"),
    "delayed": (N_("delayed"), "clock", "quiet"),
    "waiting-children": (N_("waits for children"), "tree", "quiet"),
    "active": (N_("running"), "play", "busy"),
    "completed": (N_("completed"), "check", "good"),
    "failed": (N_("failed"), "cross", "bad"),
}
_HEALTH: Mapping[str, tuple[str, str, str]] = {
    "ok": (N_("ok"), "check", "good"),
    "busy": (N_("busy"), "play", "busy"),
    "idle": (N_("idle"), "dot", "quiet"),
    "paused": (N_("paused"), "pause", "warn"),
    "held": (N_("held"), "clock", "warn"),
    "no-worker": (N_("no worker"), "cross", "bad"),
    "slow": (N_("falling behind"), "warn", "warn"),
    "failing": (N_("failing"), "warn", "bad"),
}
_WORKERS: Mapping[str, tuple[str, str, str]] = {
    "working": (N_("working"), "check", "good"),
    "paused": (N_("paused"), "pause", "warn"),
    "quiet": (N_("quiet"), "dot", "quiet"),
    "silent": (N_("silent"), "warn", "bad"),
}
_OPERATIONS: Mapping[str, tuple[str, str, str]] = {
    "running": (N_("under way"), "play", "busy"),
    "done": (N_("done"), "check", "good"),
    "cancelled": (N_("cancelled"), "dot", "quiet"),
    "failed": (N_("failed"), "cross", "bad"),
    "undone": (N_("undone"), "undo", "quiet"),
}
_GRADES: Mapping[str, tuple[str, str, str]] = {
    "error": (N_("error"), "cross", "bad"),
    "warning": (N_("warning"), "warn", "warn"),
    "note": (N_("note"), "info", "info"),
}
_ACTIONS: Mapping[str, tuple[str, str, str]] = {
    "retry": (N_("retry"), "retry", "info"),
    "remove": (N_("remove"), "trash", "bad"),
    "promote": (N_("run now"), "up", "info"),
    "cancel": (N_("cancel"), "stop", "warn"),
    "move": (N_("move"), "move", "info"),
}


class Words:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        texts = catalogue(language)

        def table(kinds: Mapping[str, tuple[str, str, str]]) -> dict[str, Word]:
            return {
                name: Word(texts.gettext(label), icon, tone)
                for name, (label, icon, tone) in kinds.items()
            }

        self.states = table(_STATES)
        self.health = table(_HEALTH)
        self.workers = table(_WORKERS)
        self.operations = table(_OPERATIONS)
        self.grades = table(_GRADES)
        self.actions = table(_ACTIONS)


@cache
def words_for(language: str) -> Words:
    """Return the words of a language."""
    return Words(language)
