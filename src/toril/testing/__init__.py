"""What users import in their tests: an app in memory, and time that stands still until moved.

```python
from toril.testing import in_memory

async def test_welcome():
    async with in_memory(shop.app) as bench:      # your own app, its store swapped for a while
        await shop.register("jo@example.com")
        ran = await bench.run_until_idle()
        assert [event.task for event in ran.completed] == ["send_welcome"]
```

Fixtures for pytest are in `toril.testing.fixtures`; pytest finds them by itself.
"""

from toril.testing.clock import ManualClock
from toril.testing.harness import Bench, MemoryApp, in_memory
from toril.testing.ran import Ran
from toril.testing.running import StillRunningError

__all__ = ["Bench", "ManualClock", "MemoryApp", "Ran", "StillRunningError", "in_memory"]
