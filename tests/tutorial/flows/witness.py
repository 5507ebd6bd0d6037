"""Write down every record of a run's loggers as it is logged, for the test to compare with.

It hangs on the same two loggers as the client's own handler that sends to the API, so it sees what
that one sees. One JSON object a line, in the file that WITNESS names.
"""

import datetime as dt
import json
import logging
import os

from prefect.logging.configuration import setup_logging


class Witness(logging.Handler):
    """Appends each record to the file."""

    def __init__(self, path):
        super().__init__()
        self._file = open(path, "a", buffering=1)  # noqa: SIM115  as long as the process

    def emit(self, record):
        """One record, unless it is kept from the API."""
        if not getattr(record, "send_to_api", True):
            return
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        known = {
            "name": record.name,
            "level": record.levelno,
            "message": self.format(record),
            "timestamp": moment.isoformat(),
            "flow_run_id": str(getattr(record, "flow_run_id", None)),
            "task_run_id": getattr(record, "task_run_id", None),
        }
        known["task_run_id"] = known["task_run_id"] and str(known["task_run_id"])
        self._file.write(json.dumps(known) + "\n")


if "WITNESS" in os.environ:
    # The first set-up replaces handlers, later ones leave them.
    setup_logging()
    _witness = Witness(os.environ["WITNESS"])
    for _name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(_name).addHandler(_witness)
