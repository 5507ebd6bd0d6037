"""Every router of the API, in one list."""

from litestar.types import ControllerRouterHandler

from app.api import (
    admin,
    artifacts,
    blocks,
    concurrency_limits,
    concurrency_limits_v2,
    deployment_schedules,
    deployments,
    events,
    events_out,
    flow_run_inputs,
    flow_run_states,
    flow_runs,
    flows,
    logs,
    logs_out,
    run_graph,
    run_history,
    task_run_states,
    task_runs,
    variables,
)

ROUTE_HANDLERS: list[ControllerRouterHandler] = [
    *admin.ROUTES,
    *artifacts.ROUTES,
    *blocks.ROUTES,
    *concurrency_limits.ROUTES,
    *concurrency_limits_v2.ROUTES,
    *deployment_schedules.ROUTES,
    *deployments.ROUTES,
    *events.ROUTES,
    *events_out.ROUTES,
    *flow_run_inputs.ROUTES,
    *flow_run_states.ROUTES,
    *flow_runs.ROUTES,
    *flows.ROUTES,
    *logs.ROUTES,
    *logs_out.ROUTES,
    *run_graph.ROUTES,
    *run_history.ROUTES,
    *task_run_states.ROUTES,
    *task_runs.ROUTES,
    *variables.ROUTES,
]
