"""The reader who follows pages notices what does not work."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.house.reader import read
from tests.house.test_docs import environment

SHOP = """
```python title="shop.py"
from toril import App

app = App()


@app.task(queue="mail")
async def greet(to: str) -> str:
    return f"to {to}"
```

```sh
toril worker shop:app
python -m asyncio
```
"""
GREETING = """
```python
from shop import app, greet

print(await (await greet.enqueue(to="Jo")).result(timeout_s=60))
```

```text
to Jo
```
"""
LATER = """
```python title="shop.py"
@app.task(queue="new")
async def new() -> int:
    return 1
```

```python
from shop import new

print(await (await new.enqueue()).result(timeout_s=0.5))
```
"""


def follow(page: str, folder: Path) -> None:
    path = folder / "page.md"
    path.write_text(page)
    read(path, environment())


def test_page_that_works_is_followed(tmp_path: Path) -> None:
    follow(
        f"{SHOP}{GREETING}\n```sh\ntoril jobs show mail 1  # or …\ntoril jobs show …\n```\n",
        tmp_path,
    )


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (SHOP + GREETING.replace("to Jo\n", "to Bo\n"), "prints:\nto Jo"),
        (SHOP + GREETING.replace("import app, greet", "import app, great"), "ImportError"),
        (SHOP.replace("shop:app", "shop:ap") + GREETING, "module 'shop' has no 'ap'"),
        (f"{SHOP}\n```sh\ntoril jobs show mail 1\n```\n", "has no job '1'"),
        (
            # Somebody who copies this into a prompt gets an error.
            f"{SHOP}\n```python\ndef double(n):\n    m = n\n\n    return 2 * m\n```\n",
            "SyntaxError|IndentationError",
        ),
        (
            # A worker that was started before a task was written does not know it.
            f"{SHOP}{LATER}",
            "ResultTimeoutError",
        ),
    ],
    ids=["output", "import", "worker", "command", "prompt", "unknown task"],
)
def test_page_that_does_not_work_is_noticed(page: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=says):
        follow(page, tmp_path)
