"""The compose file, as far as it can be read without an engine."""

import re
from pathlib import Path

from app.settings import Settings, variable

COMPOSE = Path(__file__).parent.parent.parent / "compose.yaml"


def test_the_stores_are_configured_once_each_with_settings_that_exist() -> None:
    text = COMPOSE.read_text()
    stores = re.search(r"^x-stores:.*\n((?:  .*\n)+)", text, re.MULTILINE)
    assert stores is not None
    names = re.findall(r"^  (\w+):", stores.group(1), re.MULTILINE)
    assert len(names) == len(set(names)) > 5
    assert set(names) <= {variable(name) for name in Settings.model_fields}
