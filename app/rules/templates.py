"""Templates that people write into parameters: Jinja, without what could eat time or memory.

Nothing is in scope, so a template can only compute with what it says itself. It may hold
expressions, conditions and comments, a fixed set of filters, and nothing that repeats, multiplies,
remembers or calls: what comes out is then no longer than a small multiple of what went in.
"""

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARACTERS = 10_000

# None of them repeats or pads what it gets.
_FILTERS = (
    "abs", "bool", "capitalize", "count", "d", "default", "first", "float", "int", "last", "length",
    "lower", "max", "min", "reverse", "sort", "string", "sum", "title", "tojson", "trim", "unique",
    "upper", "wordcount",
)  # fmt: skip

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.Add,
    nodes.Sub,
    nodes.Div,
    nodes.FloorDiv,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
)


class InvalidTemplate(ValueError):
    """A template that does not parse, may not be rendered, or cannot be. `line` counts from 1; 0 is
    the whole template."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


class _Environment(ImmutableSandboxedEnvironment):
    """With the filters above and no globals."""

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.ChainableUndefined, optimized=False)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS if name in self.filters}


_environment = _Environment()


def render(template: str) -> str:
    """The text that the template makes.

    Raises:
        InvalidTemplate: says why.
    """
    tree = check(template)
    if tree is None:
        return template
    try:
        return _environment.from_string(tree).render()
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise InvalidTemplate(
            f"Failed to render template due to the following error: {error!r}"
        ) from error


def check(template: str) -> nodes.Template | None:
    """The template parsed; None if it is only text.

    Raises:
        InvalidTemplate: it does not parse or may not be rendered; says why.
    """
    if "{{" not in template and "{%" not in template and "{#" not in template:
        return None
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        raise InvalidTemplate(f"a template has at most {MAX_TEMPLATE_CHARACTERS:,} characters")
    try:
        tree = _environment.parse(template)
    except jinja2.TemplateSyntaxError as error:
        raise InvalidTemplate(error.message or str(error), line=error.lineno) from error
    except RecursionError as error:
        raise InvalidTemplate("the template is nested too deeply") from error
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise InvalidTemplate(f"{type(node).__name__} is not allowed here", line=node.lineno)
        if isinstance(node, nodes.Filter) and node.name == "tojson" and (node.args or node.kwargs):
            raise InvalidTemplate("tojson takes nothing here", line=node.lineno)
    return tree
