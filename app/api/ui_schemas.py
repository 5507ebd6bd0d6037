"""Values of a form checked against its schema, while it is filled in."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.orchestration.parameters import errors_of_form
from app.services import Services
from app.wire.schema_values import SchemaValues, SchemaValuesErrors
from storage.postgres.pool import connection

_FORM = msgspec.json.Decoder(SchemaValues)


@post("/ui/schemas/validate", status_code=200, operation_class=takes(_FORM))
async def validate_values(
    request: Request[Any, Any, Any], services: Services
) -> SchemaValuesErrors:
    """Whether the values fit the schema, and else what is wrong and where."""
    form = await decode_body(request, _FORM)
    async with connection(services.pool) as conn:
        errors = await errors_of_form(conn, form.values, form.schema)
    return SchemaValuesErrors(errors=errors, valid=not errors)


ROUTES: list[ControllerRouterHandler] = [validate_values]
