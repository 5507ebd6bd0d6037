"""The two tables as Iceberg describes them, and the catalog that knows them.

Everything here blocks: it runs in the process of a publishing pass, or in a thread.
"""

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
    UUIDType,
)

from storage.archive.place import CATALOG, Archive

CONNECT_SECONDS = 10
REQUEST_SECONDS = 60
TIMESTAMP_ID = 4
FLOW_RUN_ID = 2


def _field(id: int, name: str, kind: IcebergType) -> NestedField:
    return NestedField(field_id=id, name=name, field_type=kind, required=False)


# The columns of a segment, see `storage.logs.segment`.
LOGS = Schema(
    _field(1, "seq", LongType()),
    _field(FLOW_RUN_ID, "flow_run_id", UUIDType()),
    _field(3, "task_run_id", UUIDType()),
    _field(TIMESTAMP_ID, "timestamp", TimestamptzType()),
    _field(5, "level", IntegerType()),
    _field(6, "name", StringType()),
    _field(7, "message", StringType()),
)
RUNS = Schema(
    _field(1, "id", UUIDType()),
    _field(2, "name", StringType()),
    _field(3, "flow_id", UUIDType()),
    _field(4, "flow_name", StringType()),
    _field(5, "deployment_id", UUIDType()),
    _field(6, "deployment_name", StringType()),
    _field(7, "state_type", StringType()),
    _field(8, "state_name", StringType()),
    _field(9, "tags", ListType(element_id=18, element=StringType(), element_required=False)),
    _field(10, "created", TimestamptzType()),
    _field(11, "expected_start_time", TimestamptzType()),
    _field(12, "start_time", TimestamptzType()),
    _field(13, "end_time", TimestamptzType()),
    _field(14, "total_run_time", DoubleType()),
    _field(15, "run_count", IntegerType()),
    _field(16, "work_queue_name", StringType()),
    _field(17, "parent_task_run_id", UUIDType()),
)
_PROPERTIES = {
    "format-version": "2",
    # Each commit is made from a difference that was found in the table as it was: made again on top of
    # another's, it would name files twice.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "commit.manifest.target-size-bytes": str(2 * 1024**2),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


@contextlib.contextmanager
def open_catalog(archive: Archive) -> Iterator[Catalog]:
    """The catalog, closed at the end of the block. Nothing is asked of a REST server but its
    configuration."""
    properties = _file_properties(archive)
    catalog: Catalog
    if archive.rest_uri is None:
        catalog = SqlCatalog(
            CATALOG,
            uri=_sqlalchemy_url(archive.database_url),
            init_catalog_tables="false",
            warehouse=archive.path("iceberg"),
            **properties,
        )
    else:
        properties["uri"] = archive.rest_uri
        given = {
            "token": archive.rest_token,
            "credential": archive.rest_credential,
            "scope": archive.rest_scope,
            "oauth2-server-uri": archive.rest_oauth_uri
            or f"{archive.rest_uri.rstrip('/')}/v1/oauth/tokens",
            "warehouse": archive.rest_warehouse,
        }
        properties |= {name: value for name, value in given.items() if value is not None}
        catalog = RestCatalog(CATALOG, **properties)
    with contextlib.closing(catalog):
        yield catalog


def logs_table(catalog: Catalog, archive: Archive) -> Table:
    """The table `logs`, partitioned by the day of the line; made when it is not there."""
    spec = PartitionSpec(PartitionField(TIMESTAMP_ID, 1000, DayTransform(), "timestamp_day"))
    return _table(catalog, archive, "logs", LOGS, spec)


def runs_table(catalog: Catalog, archive: Archive) -> Table:
    """The table `runs`, partitioned by the day on which a run was made; made when it is not there."""
    return _table(
        catalog,
        archive,
        "runs",
        RUNS,
        PartitionSpec(PartitionField(10, 1000, DayTransform(), "created_day")),
    )


def _table(
    catalog: Catalog, archive: Archive, name: str, schema: Schema, spec: PartitionSpec
) -> Table:
    identifier = (archive.namespace, name)
    with contextlib.suppress(NoSuchTableError):
        return catalog.load_table(identifier)
    catalog.create_namespace_if_not_exists(archive.namespace)
    return catalog.create_table_if_not_exists(
        identifier,
        schema,
        location=archive.location(name) if archive.rest_uri is None else None,
        partition_spec=spec,
        properties={
            **_PROPERTIES,
            # For segments of before their columns had ids.
            "schema.name-mapping.default": schema.name_mapping.model_dump_json(),
        },
    )


def _file_properties(archive: Archive) -> dict[str, str]:
    s3 = archive.s3
    properties = {
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.region": s3.region,
        "s3.force-virtual-addressing": str(s3.addressing_style == "virtual").lower(),
        "s3.connect-timeout": str(CONNECT_SECONDS),
        "s3.request-timeout": str(REQUEST_SECONDS),
    }
    if s3.endpoint_url is not None:
        properties["s3.endpoint"] = s3.endpoint_url
    if s3.access_key_id is not None and s3.secret_access_key is not None:
        properties["s3.access-key-id"] = s3.access_key_id
        properties["s3.secret-access-key"] = s3.secret_access_key
    return properties


def _sqlalchemy_url(database_url: str) -> str:
    parts = urlsplit(database_url)
    query = parts.query
    if "connect_timeout=" not in query:
        query += f"{'&' if query else ''}connect_timeout={CONNECT_SECONDS}"
    return urlunsplit(parts._replace(scheme="postgresql+psycopg2", query=query))
