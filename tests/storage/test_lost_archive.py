"""The archive's own files, or its rows in the catalog, are lost: the next pass makes the tables anew, of the
segments that are there. docs/archive.md says how."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pyiceberg.table import Table

from app.services import Services, ServicesConfig, open_services
from storage.archive.place import Archive
from storage.archive.publish import publish_pass
from storage.archive.tables import open_catalog
from storage.logs.compaction import compact_pass
from storage.logs.offload import offload_pass
from tests.processes import ROOT
from tests.storage.test_log_tier import line, post

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
RUN = uuid.UUID("0199f2d0-6d0a-7c5e-9d0a-1f2e3d4c5b6a")


@pytest.fixture
def archive(services_config: ServicesConfig) -> Archive:
    """The archive of this test's installation."""
    return Archive(database_url=services_config.database_url, s3=services_config.s3)


@pytest.fixture
async def services(
    services_config: ServicesConfig, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    """The services of a process that publishes."""
    # For the processes that it starts.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with open_services(replace(services_config, archive=archive)) as opened:
        yield opened


async def _final_lines(services: Services, first: int) -> None:
    await post(services, *[line(number, run=RUN) for number in range(first, first + 100)])
    await offload_pass(services.pool, services.objects, force=True)
    await compact_pass(services.pool, services.objects, dt.datetime.now(dt.UTC), force=True)


def _published(archive: Archive) -> list[str]:
    with open_catalog(archive) as catalog:
        table: Table = catalog.load_table((archive.namespace, "logs"))
        return sorted(str(each) for each in table.scan().to_arrow().column("message").to_pylist())


@pytest.mark.parametrize("lost", ["files", "rows"])
async def test_tables_that_were_lost_are_made_anew(
    services: Services, archive: Archive, lost: str
) -> None:
    await _final_lines(services, 0)
    await publish_pass(services.pool, archive, NOON)
    expected = sorted(f"line {number}" for number in range(100))
    assert _published(archive) == expected

    if lost == "files":
        await services.objects.delete_many(list(await services.objects.list_objects("iceberg/")))
        with pytest.raises(FileNotFoundError):
            await publish_pass(services.pool, archive, NOON)
    await services.pool.execute("DELETE FROM iceberg_tables WHERE catalog_name = 'tailrace'")
    await services.objects.delete_many(list(await services.objects.list_objects("iceberg/")))

    report = await publish_pass(services.pool, archive, NOON)
    assert report.rows == 100
    assert _published(archive) == expected
    await _final_lines(services, 100)
    await publish_pass(services.pool, archive, NOON)
    assert _published(archive) == sorted(f"line {number}" for number in range(200))
