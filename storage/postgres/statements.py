"""Named SQL statements, read once at import from `sql/*.sql`.

A file holds statements that each begin with a line `-- name: the_name`. Names are unique over all
files. Asking for a name that is not there raises KeyError at import, not at three in the morning.
"""

from pathlib import Path


def _load() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / "sql").glob("*.sql")):
        for part in path.read_text("utf-8").split("-- name: ")[1:]:
            name, _, text = part.partition("\n")
            if name.strip() in found:
                raise ValueError(f"{path.name}: statement {name.strip()!r} is defined twice")
            found[name.strip()] = text.strip()
    return found


_STATEMENTS = _load()


def statement(name: str) -> str:
    """The text of the statement called `name`."""
    return _STATEMENTS[name]
