"""Let a paused run go on with an input, as the client does it. Arguments: the run, the input."""

import json
import sys

from prefect.flow_runs import resume_flow_run

try:
    resume_flow_run(sys.argv[1], run_input=json.loads(sys.argv[2]))
except RuntimeError as error:
    sys.exit(f"{type(error).__name__}: {error}")
