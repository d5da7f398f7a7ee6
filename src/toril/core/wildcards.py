"""Patterns of names in which `*` stands for any characters, and nothing else has a meaning."""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern.

    It takes time in proportion to the lengths for each `*`, whatever the pattern.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not (name.startswith(first) and name.endswith(last)):
        return False
    begin, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, begin, end)
        if found < 0:
            return False
        begin = found + len(part)
    return begin <= end
