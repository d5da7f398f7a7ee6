"""Jobs as programs with Bull 4 and BullMQ 5 add them: queue, name, data and options of the call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def samples(*queues: str) -> list[dict[str, Any]]:
    """Return those of some queues, or all: `queue`, `name`, `data`, `options`."""
    text = (Path(__file__).parent / "samples.json").read_text("utf-8")
    return [one for one in json.loads(text) if not queues or one["queue"] in queues]
