"""SQL over the logs and the runs, Tailrace's own."""

from typing import Annotated, Literal

import msgspec

DEFAULT_ROWS = 10_000
MAX_ROWS = 1_000_000


class SqlQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SELECT; at most `limit` rows of its result are answered."""

    sql: str
    format: Literal["json", "csv", "arrow", "parquet"] = "json"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
