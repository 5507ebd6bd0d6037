"""The long-lived things a request or a job may need, opened once per process."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from app.orchestration.task_run_recorder import record_task_runs
from app.rules.recovery import Recovery
from app.rules.schedules import Scheduling
from app.wire.settings import Setting
from storage.archive.place import Archive
from storage.encryption import Encryption
from storage.logs.ingest import IngestBuffer
from storage.logs.reader import LogReader
from storage.logs.tail import LogTail
from storage.objects.disk_cache import DiskCache, LogCache
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import ObjectReader, ObjectStore, S3Config
from storage.postgres.event_buffer import EventBuffer
from storage.postgres.event_tail import EventTail
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool, open_pool
from storage.postgres.signs_of_life import SignsOfLife
from storage.sql.queries import SqlQueries


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesConfig:
    """What `open_services` needs. Sizes in bytes.

    `hot_limit_bytes` bounds the hot log tier: beyond it ingest answers 503 until offload drains it.
    One SQL statement may take `sql_seconds` and `sql_memory_bytes`.
    Events that occurred more than `event_retention_days` ago are removed.
    Logs are kept for `log_retention_days` where no rule says otherwise, None for good.
    A run that nobody started is Late `late_after_seconds` after it was due; one that is Cancelling for
    `cancelling_timeout_seconds` is Cancelled.
    Without `encryption_key` block documents can be neither kept nor read.
    """

    database_url: str = field(repr=False)
    s3: S3Config
    pool_size: int = 16
    hot_limit_bytes: int = 2 * 1024**3
    sql_seconds: float = 60.0
    sql_memory_bytes: int = 1024**3
    event_retention_days: int = 7
    log_retention_days: int | None = None
    late_after_seconds: int = 15
    cancelling_timeout_seconds: int = 300
    encryption_key: str | None = field(default=None, repr=False)
    # Where logs and runs are published as Iceberg tables, None when they are not.
    archive: Archive | None = None
    # Whether clients talk to this process: then it hears whether their runs live.
    serves_clients: bool = True
    recovery: Recovery = field(default_factory=Recovery)
    scheduling: Scheduling = field(default_factory=Scheduling)
    # What readers keep of segments on the local disk, None when nothing.
    log_cache: LogCache | None = None
    # What operators are told of the settings, secrets masked.
    settings: tuple[Setting, ...] = ()


class Services:
    """Handles shared by all requests and jobs of one process.

    No dataclass: Litestar would look into its fields to validate what it injects into handlers.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        listener: Listener,
        objects: ObjectStore,
        ingest: IngestBuffer,
        logs: LogReader,
        sql: SqlQueries,
        tail: LogTail,
        events: EventBuffer,
        event_tail: EventTail,
        encryption: Encryption,
        event_retention: dt.timedelta,
        log_retention_days: int | None,
        late_after: dt.timedelta,
        cancelling_timeout: dt.timedelta,
        signs: SignsOfLife | None,
        recovery: Recovery,
        scheduling: Scheduling,
        archive: Archive | None,
        settings: tuple[Setting, ...],
    ) -> None:
        self.pool = pool
        self.listener = listener
        self.objects = objects
        self.ingest = ingest
        self.logs = logs
        self.sql = sql
        self.tail = tail
        self.events = events
        self.event_tail = event_tail
        self.encryption = encryption
        self.event_retention = event_retention
        self.log_retention_days = log_retention_days
        self.late_after = late_after
        self.cancelling_timeout = cancelling_timeout
        self.signs = signs
        self.recovery = recovery
        self.scheduling = scheduling
        self.archive = archive
        self.settings = settings


@contextlib.asynccontextmanager
async def open_services(config: ServicesConfig) -> AsyncIterator[Services]:
    """Open everything in order, close it in reverse: what is buffered is flushed first.

    Raises:
        storage.errors.Unavailable: PostgreSQL or the bucket cannot be reached.
    """
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(config.database_url, max_size=config.pool_size)
        stack.push_async_callback(pool.close)
        listener = await stack.enter_async_context(Listener.open(config.database_url))
        objects = await stack.enter_async_context(S3ObjectStore.open(config.s3))
        signs = None
        if config.serves_clients:
            signs = await stack.enter_async_context(SignsOfLife.open(pool))
        ingest = await stack.enter_async_context(
            IngestBuffer.open(
                pool,
                hot_limit_bytes=config.hot_limit_bytes,
                heard=signs.hear_runs if signs else None,
            )
        )
        kept: ObjectReader = objects
        if config.log_cache is not None:
            kept = await stack.enter_async_context(DiskCache.open(objects, config.log_cache))
        logs = await stack.enter_async_context(LogReader.open(pool, kept))
        sql = await stack.enter_async_context(
            SqlQueries.open(
                pool, kept, seconds=config.sql_seconds, memory_bytes=config.sql_memory_bytes
            )
        )
        tail = await stack.enter_async_context(LogTail.open(pool, listener, logs))
        events = await stack.enter_async_context(
            EventBuffer.open(pool, record_task_runs, signs.hear_event if signs else None)
        )
        event_tail = await stack.enter_async_context(EventTail.open(pool, listener))
        yield Services(
            pool=pool,
            listener=listener,
            objects=objects,
            ingest=ingest,
            logs=logs,
            sql=sql,
            tail=tail,
            events=events,
            event_tail=event_tail,
            encryption=Encryption(config.encryption_key),
            event_retention=dt.timedelta(days=config.event_retention_days),
            log_retention_days=config.log_retention_days,
            late_after=dt.timedelta(seconds=config.late_after_seconds),
            cancelling_timeout=dt.timedelta(seconds=config.cancelling_timeout_seconds),
            signs=signs,
            recovery=config.recovery,
            scheduling=config.scheduling,
            archive=config.archive,
            settings=config.settings,
        )
