"""What tests of faults have in common."""

from collections.abc import AsyncIterator

import pytest

from app.services import ServicesConfig
from tests.chaos.faulty_s3 import FaultyS3


@pytest.fixture
async def faulty(services_config: ServicesConfig) -> AsyncIterator[FaultyS3]:
    """A proxy before the session's S3."""
    async with FaultyS3.before(services_config.s3.endpoint_url or "") as proxy:
        yield proxy
