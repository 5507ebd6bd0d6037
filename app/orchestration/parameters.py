"""Parameters of deployments and of runs made from them: made from what was written, and checked
against the deployment's schema."""

import asyncio

from app.orchestration.refusal import Refused
from app.rules.hydration import HydrationError, hydrated, needs_hydration, variables_named
from app.rules.json_schema import CircularSchema, why_invalid
from app.wire.base import Json
from storage.postgres.pool import Conn
from storage.postgres.variables import values_of_variables


async def hydrated_parameters(conn: Conn, parameters: Json, *, whose: str) -> Json:
    """The parameters with what is to be made of templates and variables made.

    Raises:
        Refused: something cannot be made; the message speaks of `whose` parameters.
    """
    if not needs_hydration(parameters):
        return parameters
    names = variables_named(parameters)
    variables = await values_of_variables(conn, names) if names is None or names else {}
    try:
        # Templates are small, but there may be many of them.
        return await asyncio.to_thread(hydrated, parameters, variables)
    except HydrationError as error:
        raise Refused("bad_request", f"Error hydrating {whose} parameters: {error}") from error


def check_parameters(
    parameters: Json, schema: object, *, doing: str, ignore_required: bool = False
) -> None:
    """Refuse parameters that do not fit the schema.

    Raises:
        Refused: says why; the message begins with what one was `doing`.
    """
    if not isinstance(schema, dict):
        raise Refused(
            "conflict",
            "Error updating deployment: Cannot update parameters because parameter schema"
            " enforcement is enabled and the deployment does not have a valid parameter schema.",
        )
    try:
        why = why_invalid(parameters, schema, ignore_required=ignore_required)
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error
    if why is not None:
        raise Refused("conflict", f"Error {doing}: {why}")
