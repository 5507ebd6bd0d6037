"""Take the addresses out of package-lock.json: npm knows where to find packages, and the digests that
stay say which."""

import json
from pathlib import Path

LOCK = Path(__file__).with_name("package-lock.json")

lock = json.loads(LOCK.read_text())
for package in lock["packages"].values():
    for key in ("resolved", "funding"):
        package.pop(key, None)
LOCK.write_text(json.dumps(lock, indent=2) + "\n")
