"""The queues that an application has, and the producers that add to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from toril.core.checks import nearest
from toril.core.errors import InvalidOptionError
from toril.typed.job_settings import SHARED, JobSettings
from toril.typed.producer import Producer
from toril.typed.spec import QueueSpec

if TYPE_CHECKING:
    from toril.app import App

T = TypeVar("T", bound=Producer[Any, Any])


class QueueRegistry:
    """The queues of an application, shared by the API and the workers. Opens no store."""

    def __init__(
        self,
        queues: Iterable[QueueSpec],
        *,
        producers: Iterable[type[Producer[Any, Any]]] = (),
        defaults: JobSettings = SHARED,
    ) -> None:
        """Register queues and their producers.

        Parameters:
            queues: All of the application.
            producers: Classes.
            defaults: Options of jobs that neither a call nor the queue says.

        Raises:
            InvalidOptionError: Two queues have one name, a queue has two producers, or a producer
                is of a queue that is not registered; the message names both.
        """
        self.defaults = defaults
        self._queues: dict[str, QueueSpec] = {}
        self._producers: dict[str, type[Producer[Any, Any]]] = {}
        for spec in queues:
            if spec.name in self._queues:
                raise InvalidOptionError(f"queue {spec.name!r} is registered twice: name it once")
            self._queues[spec.name] = spec
        for producer in producers:
            self.check(producer)
            other = self._producers.setdefault(producer.spec.name, producer)
            if other is not producer:
                raise InvalidOptionError(
                    f"queue {producer.spec.name!r} has two producers, {other.__qualname__} and"
                    f" {producer.__qualname__}: register one"
                )

    def __iter__(self) -> Iterator[QueueSpec]:
        return iter(self._queues.values())

    def check(self, owner: type[Any]) -> None:
        """Refuse a producer or a processor of a queue that is not registered here.

        Raises:
            InvalidOptionError: The message names the class and the queue.
        """
        spec: QueueSpec = owner.spec
        known = self._queues.get(spec.name)
        if known is spec:
            return
        if known is not None:
            raise InvalidOptionError(
                f"{owner.__qualname__} is of queue {spec.name!r}, and another QueueSpec of this"
                " name is registered: import the one that the registry has"
            )
        close = nearest(spec.name, self._queues)
        hint = f"; did you mean {close!r}?" if close else ": register it"
        raise InvalidOptionError(
            f"{owner.__qualname__} is of queue {spec.name!r}, and the registry has none such{hint}"
        )

    def producer_of(self, spec: QueueSpec) -> type[Producer[Any, Any]] | None:
        """Return the class of the producer of a queue, or None."""
        return self._producers.get(spec.name)

    def producers(self, app: App) -> Producers:
        """Return the producers, ready to add jobs to an app's store. No worker is started."""
        made = {kind: kind(app, self.defaults) for kind in self._producers.values()}
        return Producers(made)


class Producers:
    """The producers of an application, by class: `producers.get(MailProducer)`."""

    def __init__(self, made: dict[type[Producer[Any, Any]], Producer[Any, Any]]) -> None:
        self._made = made

    def get(self, kind: type[T]) -> T:
        """Return the producer of a class.

        Raises:
            InvalidOptionError: It is not registered; the message names those that are.
        """
        if kind not in self._made:
            known = ", ".join(one.__name__ for one in self._made) or "none"
            raise InvalidOptionError(
                f"{kind.__qualname__} is not registered; there are {known}. Add it to the"
                " QueueRegistry"
            )
        return cast("T", self._made[kind])
