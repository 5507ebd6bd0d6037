"""Where the archive is: plain data that a process is given, without anything of Iceberg."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from storage.objects.store import S3Config

# Of the catalog, as the SQL catalog's tables and other engines have it.
CATALOG = "tailrace"
PREFIX = "iceberg/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The Iceberg tables `logs` and `runs` in `namespace`, published `every_minutes`. The catalog is in
    PostgreSQL, and the tables' own files below `iceberg/` of the bucket; or it is behind `rest_uri` and
    says itself where they are."""

    database_url: str = field(repr=False)
    s3: S3Config
    every_minutes: int = 10
    namespace: str = "tailrace"
    rest_uri: str | None = None
    rest_token: str | None = field(default=None, repr=False)
    rest_credential: str | None = field(default=None, repr=False)
    rest_scope: str | None = None
    rest_oauth_uri: str | None = None
    rest_warehouse: str | None = None

    def location(self, table: str) -> str:
        """Where a table's own files lie when the catalog is in PostgreSQL."""
        return f"s3://{self.s3.bucket}/{PREFIX}{self.namespace}/{table}"

    def path(self, key: str) -> str:
        """An object of the bucket as Iceberg names it."""
        return f"s3://{self.s3.bucket}/{key}"

    def failure(self, error: Exception) -> str:
        """What a library says of a failure, on one line and without anything secret."""
        text = " ".join(str(error).split())
        for secret in (
            self.database_url,
            urlsplit(self.database_url).password,
            self.s3.secret_access_key,
            self.rest_token,
            (self.rest_credential or "").rpartition(":")[2],
        ):
            if secret:
                text = text.replace(secret, "********")
        return f"{type(error).__name__}: {text}"
