"""Names a browser and its system by what it calls itself, in a few words for people."""

from __future__ import annotations

import re

MAX_AGENT_CHARS = 300
"""How much of what a browser calls itself is kept."""
_BROWSERS = (
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/(\d+)")),
    ("Opera", re.compile(r"OPR/(\d+)")),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"(?:Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"Version/(\d+)[\d.]*.* Safari/")),
)
"""In this order: most of them also claim to be those below."""
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def kept_agent(header: str) -> str:
    """Return what is kept of the header `User-Agent`: what can be printed, up to a length."""
    return "".join(char for char in header if char.isprintable())[:MAX_AGENT_CHARS].strip()


def browser_name(agent: str) -> str:
    """Return browser and system, such as `Firefox 140, Linux`.

    Of what is none of those that are known, such as a script, its first word. Empty: not known.
    """
    names = []
    for name, pattern in _BROWSERS:
        if (found := pattern.search(agent)) is not None:
            names.append(f"{name} {found[1]}")
            break
    else:
        names += agent.split()[:1]
    names += [name for word, name in _SYSTEMS if word in agent][:1]
    return ", ".join(names)
