"""What a browser calls itself, in a few words."""

from __future__ import annotations

import pytest

from toril.web.access.browsers import MAX_AGENT_CHARS, browser_name, kept_agent

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"

IPAD = "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROMEBOOK = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         "Firefox 140, Linux"),
        (f"{WINDOWS} Chrome/138.0.0.0 Safari/537.36", "Chrome 138, Windows"),
        (f"{WINDOWS} Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0", "Edge 138, Windows"),
        (f"{WINDOWS} Chrome/138.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera 120, Windows"),
        (f"{MAC} Version/18.5 Safari/605.1.15", "Safari 18, macOS"),
        (f"{IPAD} CriOS/138.0.7204.119 Mobile/15E148 Safari/604.1", "Chrome 138, iPad"),
        (f"{ANDROID} Chrome/138.0.0.0 Mobile Safari/537.36", "Chrome 138, Android"),
        (f"{CHROMEBOOK} Chrome/138.0.0.0 Safari/537.36", "Chrome 138, ChromeOS"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", ""),
        ("   ", ""),
        ("<script>alert(1)</script> Windows", "<script>alert(1)</script>, Windows"),
    ],
)  # fmt: skip
def test_browser_and_system_are_named(agent: str, name: str) -> None:
    assert browser_name(agent) == name


def test_what_is_kept_can_be_printed_and_is_not_long() -> None:
    kept = kept_agent("\x1b[2J " + "Fire\x00fox/1 " * 100)

    assert kept.startswith("[2J Firefox/1 ")
    assert kept.isprintable()
    assert len(kept) <= MAX_AGENT_CHARS
