"""The public names of `toril`: this list is the only one.

Whoever asks `toril` for one of them gets it from here; `from toril import *`, type checkers and the
test of the reference read it, too. A name that is added here is public: it needs a docstring and a
place in `docs/reference`.
"""

from toril.app import App as App
from toril.core.errors import AttemptError as AttemptError
from toril.core.errors import AttemptTimeoutError as AttemptTimeoutError
from toril.core.errors import BackendClosedError as BackendClosedError
from toril.core.errors import BackendError as BackendError
from toril.core.errors import InvalidOptionError as InvalidOptionError
from toril.core.errors import InvalidPayloadError as InvalidPayloadError
from toril.core.errors import InvalidSettingError as InvalidSettingError
from toril.core.errors import JobError as JobError
from toril.core.errors import JobFailedError as JobFailedError
from toril.core.errors import JobNotFoundError as JobNotFoundError
from toril.core.errors import LeaseLostError as LeaseLostError
from toril.core.errors import MigrationError as MigrationError
from toril.core.errors import MissingExtraError as MissingExtraError
from toril.core.errors import PayloadTooLargeError as PayloadTooLargeError
from toril.core.errors import ProcessDiedError as ProcessDiedError
from toril.core.errors import ResultTimeoutError as ResultTimeoutError
from toril.core.errors import StoreBusyError as StoreBusyError
from toril.core.errors import StoreCorruptError as StoreCorruptError
from toril.core.errors import StoreDeniedError as StoreDeniedError
from toril.core.errors import StoreForeignError as StoreForeignError
from toril.core.errors import StoreFullError as StoreFullError
from toril.core.errors import StoreLostError as StoreLostError
from toril.core.errors import StoreReadOnlyError as StoreReadOnlyError
from toril.core.errors import StoreUnreachableError as StoreUnreachableError
from toril.core.errors import TorilError as TorilError
from toril.core.errors import UnknownTaskError as UnknownTaskError
from toril.core.errors import WrongStateError as WrongStateError
from toril.core.reading import RawText as RawText
from toril.engine.context import Context as Context
from toril.engine.deduplication import Deduplication as Deduplication
from toril.engine.drafts import JobDraft as JobDraft
from toril.engine.events import EventName as EventName
from toril.engine.events import EventRecord as EventRecord
from toril.engine.explanation import Explanation as Explanation
from toril.engine.explanation import Reason as Reason
from toril.engine.explanation import ReasonKind as ReasonKind
from toril.engine.handle import Job as Job
from toril.engine.hooks import HookEvent as HookEvent
from toril.engine.info import AttemptInfo as AttemptInfo
from toril.engine.info import JobInfo as JobInfo
from toril.engine.info import QueueInfo as QueueInfo
from toril.engine.info import WorkerInfo as WorkerInfo
from toril.engine.middleware import Call as Call
from toril.engine.migration import QueueMove as QueueMove
from toril.engine.operations import acting as acting
from toril.engine.options import JobOptions as JobOptions
from toril.engine.options import KeepPolicy as KeepPolicy
from toril.engine.options import Priority as Priority
from toril.engine.options import RateLimit as RateLimit
from toril.engine.options import RetryPolicy as RetryPolicy
from toril.engine.outcomes import Cancel as Cancel
from toril.engine.outcomes import Fail as Fail
from toril.engine.outcomes import Outcome as Outcome
from toril.engine.outcomes import Retry as Retry
from toril.engine.outcomes import Snooze as Snooze
from toril.engine.profiles import Profile as Profile
from toril.engine.queue import Page as Page
from toril.engine.queue import Queue as Queue
from toril.engine.runners.interpreter import freeze_support as freeze_support
from toril.engine.runners.processes import ProcessOptions as ProcessOptions
from toril.engine.states import State as State
from toril.engine.worker import Worker as Worker
from toril.engine.worker_options import WorkerOptions as WorkerOptions
from toril.settings import Settings as Settings
from toril.tasks.bundle import TaskBundle as TaskBundle
from toril.tasks.inject import provided as provided
from toril.tasks.parameters import WholePayload as WholePayload
from toril.tasks.task import Task as Task
