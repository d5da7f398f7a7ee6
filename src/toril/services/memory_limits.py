"""Work on an input within a limit of memory: what grows too large is refused for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toril.core.process_memory import MIB, growth_limited
from toril.services.unusable import UnusableInputError


@contextmanager
def growth_refused(subject: str, doing: str, max_memory_bytes: int) -> Iterator[None]:
    """Refuse an input that makes this process allocate more in the block; see `growth_limited`.

    Without a limit of ours a lack of memory is the machine's, and may be over at the next attempt.

    Parameters:
        subject: What is worked on, as for `UnusableInputError`.
        doing: What is done, as the beginning of a sentence: `decoding it`.
        max_memory_bytes: How much more it may allocate.

    Raises:
        UnusableInputError: It takes more.
        MemoryError: The machine has no more.
    """
    try:
        with growth_limited(max_memory_bytes) as limited:
            yield
    except MemoryError:
        if not limited:
            raise
        allowed = f"{max_memory_bytes // MIB:,} MiB that are allowed (max_memory_bytes)"
        reason = f"{doing} takes more memory than the {allowed}"
        raise UnusableInputError(subject, reason) from None
