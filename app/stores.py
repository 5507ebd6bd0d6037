"""Where PostgreSQL and the bucket are: configured, embedded here, or embedded by another process."""

import contextlib
from dataclasses import dataclass, field

import asyncpg

from app.settings import Settings, variable
from storage.archive.place import Archive
from storage.embedded.data_directory import DataDirectory, find_instance
from storage.embedded.errors import CannotStart
from storage.embedded.postgres import EmbeddedPostgres, open_postgres
from storage.embedded.seaweedfs import EmbeddedSeaweedFS, open_seaweedfs
from storage.errors import StorageError, Unavailable
from storage.objects.store import S3Config
from storage.postgres.migrate import migrate
from storage.postgres.pool import connect

OLDEST_POSTGRES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where PostgreSQL and the bucket are, and the embedded servers among them."""

    database_url: str
    s3: S3Config
    encryption_key: str | None = field(default=None, repr=False)
    postgres: EmbeddedPostgres | None = None
    seaweedfs: EmbeddedSeaweedFS | None = None


async def open_stores(
    settings: Settings, directory: DataDirectory, stack: contextlib.AsyncExitStack
) -> Stores:
    """The configured stores, and embedded ones for what is not configured."""
    postgres = seaweedfs = None
    s3 = configured_s3(settings)
    database_url = _configured_database(settings)
    # One after the other on the stack, so that a failure of either stops both.
    if database_url is None:
        postgres = await stack.enter_async_context(open_postgres(directory))
        database_url = postgres.dsn
    if s3 is None:
        seaweedfs = await stack.enter_async_context(open_seaweedfs(directory))
        s3 = seaweedfs.s3
    return Stores(
        database_url=database_url,
        s3=s3,
        encryption_key=_configured_key(settings) or directory.encryption_key(),
        postgres=postgres,
        seaweedfs=seaweedfs,
    )


def find_stores(settings: Settings) -> Stores:
    """The configured stores; what is not configured is taken from the embedded instance that runs
    in the data directory.

    Raises:
        CannotStart: something is neither configured nor embedded there.
    """
    instance = find_instance(settings.data_dir)
    database_url, s3 = _configured_database(settings), configured_s3(settings)
    key = _configured_key(settings)
    if instance is not None:
        database_url, s3 = database_url or instance.database_url, s3 or instance.s3
        key = key or instance.encryption_key
    if database_url is not None and s3 is not None:
        return Stores(database_url=database_url, s3=s3, encryption_key=key)
    missing = variable("s3_bucket") if database_url else variable("database_url")
    raise CannotStart(
        f"no instance runs in {settings.data_dir.absolute()}; start one with `tailrace up`, name its"
        f" directory with --data-dir, or set {missing}"
    )


def configured_s3(settings: Settings) -> S3Config | None:
    """The bucket that the settings name, if they name one."""
    if settings.s3_bucket is None:
        return None
    secret = settings.s3_secret_access_key
    return S3Config(
        bucket=settings.s3_bucket,
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        addressing_style=settings.s3_addressing_style,
    )


def configured_archive(settings: Settings, stores: Stores) -> Archive | None:
    """Where the Iceberg tables are, None when they are switched off."""
    if not settings.iceberg:
        return None
    token, credential = settings.iceberg_rest_token, settings.iceberg_rest_credential
    return Archive(
        database_url=stores.database_url,
        s3=stores.s3,
        every_minutes=settings.iceberg_every_minutes,
        namespace=settings.iceberg_namespace,
        rest_uri=settings.iceberg_rest_uri,
        rest_token=token.get_secret_value() if token else None,
        rest_credential=credential.get_secret_value() if credential else None,
        rest_scope=settings.iceberg_rest_scope,
        rest_oauth_uri=settings.iceberg_rest_oauth_uri,
        rest_warehouse=settings.iceberg_rest_warehouse,
    )


async def check_stores(stores: Stores) -> None:
    """Raise `CannotStart` unless the database and the bucket answer.

    Embedded ones are not asked again: they were found to work when they started.
    """
    if stores.postgres is None:
        await _check_database(stores.database_url)
    if stores.seaweedfs is None:
        await _check_bucket(stores.s3)


async def _check_database(database_url: str) -> None:
    try:
        conn = await connect(database_url)
        version = conn.get_server_version()
        await conn.close(timeout=5)
    except Unavailable as error:
        raise _unreachable_database(error) from error
    if version.major < OLDEST_POSTGRES:
        raise CannotStart(
            f"the database is PostgreSQL {version.major}, which is too old; {variable('database_url')}"
            f" must name PostgreSQL {OLDEST_POSTGRES} or newer"
        )


async def _check_bucket(s3: S3Config) -> None:
    # Loading an S3 client takes a third of a second, which a start with an embedded one saves.
    from storage.objects.s3 import S3ObjectStore

    async with S3ObjectStore.open(s3) as objects:
        try:
            await objects.check()
        except StorageError as error:
            raise CannotStart(
                f"bucket {s3.bucket!r} cannot be reached: {_one_line(error)};"
                f" check {variable('s3_bucket')}, {variable('s3_endpoint_url')} and the keys"
            ) from error


async def migrate_database(database_url: str) -> None:
    """Bring the database up to date.

    Raises:
        CannotStart: it cannot be reached, or is too old.
    """
    await _check_database(database_url)
    try:
        await migrate(database_url)
    except Unavailable as error:
        raise _unreachable_database(error) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise CannotStart(
            f"the database user may not make tables: {_one_line(error)}; make that user the owner of"
            " the database, or run `tailrace migrate` as one who is"
        ) from error


def _configured_key(settings: Settings) -> str | None:
    return settings.encryption_key.get_secret_value() if settings.encryption_key else None


def _configured_database(settings: Settings) -> str | None:
    return settings.database_url.get_secret_value() if settings.database_url else None


def _unreachable_database(error: Unavailable) -> CannotStart:
    return CannotStart(
        f"the database cannot be reached: {_one_line(error)}; check {variable('database_url')} and"
        " that the server runs"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
