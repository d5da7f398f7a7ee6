"""Toril in a Django project: settings, tasks of its apps, connections, commits, commands, tests.

The project owns its app, as any program does:

```python
# project/jobs.py
from toril.contrib.django import DjangoApp

app = DjangoApp()
```
"""

from toril.contrib.django.app import DjangoApp
from toril.contrib.django.commit import OnCommit, on_commit
from toril.contrib.django.transactions import InTransaction, in_transaction

__all__ = ["DjangoApp", "InTransaction", "OnCommit", "in_transaction", "on_commit"]
