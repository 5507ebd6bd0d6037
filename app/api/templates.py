"""Templates checked while somebody writes them."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.rules.templates import InvalidTemplate, check

_TEMPLATE = msgspec.json.Decoder(str)


# The longer path is what older web interfaces ask.
@post(
    ["/templates/validate", "/automations/templates/validate"],
    status_code=200,
    operation_class=takes(_TEMPLATE, also=204),
)
async def validate_template(request: Request[Any, Any, Any]) -> Response[Any]:
    """204 if this server would render the template, else 422 with the line and why not."""
    template = await decode_body(request, _TEMPLATE, absent=b'""')
    try:
        check(template)
    except InvalidTemplate as error:
        wrong = {"line": error.line, "message": error.message, "source": template}
        return Response({"error": wrong}, status_code=422)
    return Response(None, status_code=204)


ROUTES: list[ControllerRouterHandler] = [validate_template]
