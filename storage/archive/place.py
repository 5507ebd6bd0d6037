"""Where the archive is: plain data that a process is given, without anything of Iceberg."""

from dataclasses import dataclass, field

from storage.objects.store import S3Config

# Of the catalog, as the SQL catalog's tables and other engines have it.
CATALOG = "tailrace"
PREFIX = "iceberg/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The Iceberg tables `logs` and `runs` in `namespace`, with their metadata below `iceberg/` of the
    bucket, published `every_minutes`. The catalog is in PostgreSQL, or behind `rest_uri`."""

    database_url: str = field(repr=False)
    s3: S3Config
    every_minutes: int = 10
    namespace: str = "tailrace"
    rest_uri: str | None = None
    rest_token: str | None = field(default=None, repr=False)
    rest_warehouse: str | None = None

    def location(self, table: str) -> str:
        """Where a table's own files lie."""
        return f"s3://{self.s3.bucket}/{PREFIX}{self.namespace}/{table}"

    def path(self, key: str) -> str:
        """An object of the bucket as Iceberg names it."""
        return f"s3://{self.s3.bucket}/{key}"

    def secrets(self) -> list[str]:
        """What must not be in any message."""
        return [
            text for text in (self.database_url, self.s3.secret_access_key, self.rest_token) if text
        ]
