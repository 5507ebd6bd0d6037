"""Parameters of deployments and of runs made from them: made from what was written, and checked
against the deployment's schema."""

import asyncio
from dataclasses import dataclass

from app.orchestration.refusal import Refused
from app.rules.hydration import (
    HydrationError,
    hydrated,
    hydrated_for_checking,
    needs_hydration,
    variables_named,
)
from app.rules.json_schema import CircularSchema, why_invalid
from app.rules.value_errors import UnusableSchema, errors_of_values
from app.wire.base import Json
from app.wire.schema_values import Complaint
from storage.postgres.pool import Conn
from storage.postgres.variables import values_of_variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How refusals begin, or what they say: clients know them. `no_pool` has places for a `queue`
    and a `deployment`. Without words for a `circular` schema the reason is given as it is."""

    hydrating: str
    checking: str
    no_schema: str
    no_pool: str = ""
    circular: str | None = None


_NO_SCHEMA = (
    "Error updating deployment: Cannot update parameters because parameter schema enforcement is"
    " enabled and the deployment does not have a valid parameter schema."
)
OF_DEPLOYMENT = Words(
    hydrating="Error hydrating deployment parameters: ",
    checking="Error updating deployment: ",
    no_schema=_NO_SCHEMA,
)
OF_RUN = Words(
    hydrating="Error hydrating flow run parameters: ",
    checking="Error creating flow run: ",
    no_schema=_NO_SCHEMA,
    no_pool=(
        "Cannot create flow run in work queue {queue} because deployment {deployment} is not"
        " associated with a work pool. Please remove work_pool_name and try again."
    ),
)
OF_ONE_AMONG_MANY = Words(
    hydrating="",
    checking="Parameter validation failed: ",
    no_schema="Parameter schema enforcement is enabled but deployment has no valid schema.",
    no_pool=(
        "Cannot create flow run in work queue {queue} because deployment is not associated with a"
        " work pool."
    ),
    circular="Invalid schema: circular references detected.",
)


async def hydrated_parameters(conn: Conn, parameters: Json, *, words: Words) -> Json:
    """The parameters with what is to be made of templates and variables made.

    Raises:
        Refused: something cannot be made.
    """
    if not needs_hydration(parameters):
        return parameters
    variables = await _variables_of(conn, parameters)
    try:
        # Templates are small, but there may be many of them.
        return await asyncio.to_thread(hydrated, parameters, variables)
    except HydrationError as error:
        raise Refused("bad_request", f"{words.hydrating}{error}") from error


async def _variables_of(conn: Conn, parameters: Json) -> dict[str, object]:
    names = variables_named(parameters)
    return await values_of_variables(conn, names) if names is None or names else {}


async def errors_of_form(conn: Conn, values: Json, schema: Json) -> list[Complaint]:
    """What is wrong with values that may be made of JSON text, templates and variables.

    Raises:
        Refused: the schema cannot be used.
    """
    variables = await _variables_of(conn, values)
    try:
        made = await asyncio.to_thread(hydrated_for_checking, values, variables)
        return await asyncio.to_thread(errors_of_values, made, schema)
    except UnusableSchema as error:
        raise Refused("unprocessable", f"Invalid schema: {error}") from error
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error


def check_parameters(
    parameters: Json, schema: object, *, words: Words, ignore_required: bool = False
) -> None:
    """Refuse parameters that do not fit the schema.

    Raises:
        Refused: says why.
    """
    if not isinstance(schema, dict):
        raise Refused("conflict", words.no_schema)
    try:
        why = why_invalid(parameters, schema, ignore_required=ignore_required)
    except CircularSchema as error:
        raise Refused("unprocessable", words.circular or str(error)) from error
    if why is not None:
        raise Refused("conflict", f"{words.checking}{why}")
