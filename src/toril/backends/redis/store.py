"""Builds the backend for a Redis server from its roles."""

from __future__ import annotations

from toril.backends.redis.access import RedisAccessRecords
from toril.backends.redis.alerts import RedisAlertStore
from toril.backends.redis.audit import RedisAudit
from toril.backends.redis.bulk import RedisBulk
from toril.backends.redis.client.address import Address
from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.backends.redis.counts import RedisCounts
from toril.backends.redis.dead_letters import RedisDeadLetters
from toril.backends.redis.deduplication import RedisDeduplicationIds
from toril.backends.redis.dispatch import RedisDispatch
from toril.backends.redis.doctor import Doctor
from toril.backends.redis.events import RedisEvents
from toril.backends.redis.exchanging import Exchanging
from toril.backends.redis.flows import RedisFlows
from toril.backends.redis.history import RedisHistory
from toril.backends.redis.jobs import RedisJobs
from toril.backends.redis.keys import Keys
from toril.backends.redis.lifecycle import RedisLifecycle
from toril.backends.redis.limits import RedisLimits
from toril.backends.redis.logs import RedisLogs
from toril.backends.redis.lost import LostExchanges
from toril.backends.redis.moments import Moments
from toril.backends.redis.moving import RedisMoving
from toril.backends.redis.operations import RedisOperationStore
from toril.backends.redis.problems import Problems
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.redis.relatives import Relatives
from toril.backends.redis.relaying import RedisRelaying
from toril.backends.redis.repairs import Repairs
from toril.backends.redis.repeats import RedisRepeats
from toril.backends.redis.rights import lacking
from toril.backends.redis.schedules import RedisSchedules
from toril.backends.redis.search import RedisSearch
from toril.backends.redis.servers import admit
from toril.backends.redis.strays import Strays
from toril.backends.redis.survey import Survey
from toril.backends.redis.wakeups import WakeUps
from toril.backends.redis.workers import RedisWorkers
from toril.core.clock import Clock
from toril.engine.contract import Backend

METRICS_POINTS = 10_080
"""Minutes of metrics that a queue keeps: a week."""


def open_redis(address: Address, *, clock: Clock, metrics_points: int = METRICS_POINTS) -> Backend:
    """Return the store at an address. It is connected to when it is first used.

    Parameters:
        address: Where it is.
        clock: The host's (`SystemClock`): scripts then take the time of the server. Any other, as
            tests have it, is what they are told.
        metrics_points: Minutes of metrics that each queue keeps; 0: none are written.
    """
    client = MultiplexedClient(address)
    client.shared.on_first_connect = admit
    client.shared.find_lacking = lacking
    keys = Keys(address.prefix)
    moments = Moments(clock)
    scripts = QueueScripts(client, keys, moments)
    problems = Problems()
    known = QueueRegister(client, keys, moments, problems)
    wake_ups = WakeUps(client, keys)
    lost = LostExchanges()
    exchanging = Exchanging(client, keys, moments, lost, problems, metrics_points=metrics_points)
    workers = RedisWorkers(client, keys, moments, lost)
    events = RedisEvents(client, keys, moments, known)
    counts = RedisCounts(client, keys, moments, known)
    survey = Survey(client, keys, Strays(client, keys, moments))
    relatives = Relatives(client, keys, moments)
    doctor = Doctor(client, keys, moments, counts, workers, survey, relatives)
    repairs = Repairs(client, keys, moments)
    jobs = RedisJobs(client, keys, moments, known, scripts, metrics_points=metrics_points)

    async def close() -> None:
        await wake_ups.close()
        await workers.close()
        await events.close()
        await client.close()

    return Backend(
        url=address.shown,
        clock=clock,
        jobs=jobs,
        bulk=RedisBulk(known, scripts),
        logs=RedisLogs(client, keys),
        deduplication=RedisDeduplicationIds(scripts),
        moving=RedisMoving(client, keys, known, scripts),
        relaying=RedisRelaying(client, known, scripts),
        dispatch=RedisDispatch(client, keys, moments, known, wake_ups, workers, exchanging),
        events=events,
        counts=counts,
        limits=RedisLimits(scripts, known),
        dead_letters=RedisDeadLetters(client, keys, moments),
        access=RedisAccessRecords(client, keys, clock),
        audit=RedisAudit(client, keys, moments),
        flows=RedisFlows(client, keys, moments, known, workers),
        search=RedisSearch(scripts),
        operations=RedisOperationStore(client, keys, moments, known, metrics_points=metrics_points),
        alerts=RedisAlertStore(client, keys, moments),
        history=RedisHistory(client, keys, moments, known, scripts, problems),
        schedules=RedisSchedules(client, keys, moments, known, counts),
        workers=workers,
        lifecycle=RedisLifecycle(client, keys, doctor, repairs, close),
        capabilities=frozenset({"shared_processes", "foreign_queues"}),
        repeats=RedisRepeats(client, keys, moments, known, jobs),
    )
