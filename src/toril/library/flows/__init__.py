"""Work for the jobs that wait for others: what the children of a flow made, put together.

`tasks.py` has the task, `settings.py` what it goes by.
"""

from toril.library.flows.settings import CollectSettings

__all__ = ["CollectSettings"]
