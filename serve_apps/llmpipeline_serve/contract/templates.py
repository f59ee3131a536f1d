"""The rules of templates and expressions of Jinja2: parsed here, evaluated in the app and nowhere else.

What is allowed is a part of Jinja in which nothing grows or loops without bound: no assignment, macro or include, and
few filters. The app counts the rest (`llmpipeline_serve.templates`).
"""

import re
from typing import Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

FILTERS: Final = frozenset({
    "abs", "capitalize", "d", "default", "first", "float", "int", "items", "join", "last", "length", "list", "lower",
    "max", "min", "replace", "reverse", "round", "sort", "string", "title", "tojson", "trim", "truncate", "unique",
    "upper", "wordcount",
})  # fmt: skip
FUNCTIONS: Final = frozenset({"range"})
_ENVIRONMENT: Final = ImmutableSandboxedEnvironment()
_BRACED: Final = re.compile(r"\s*\{\{\s*([^{}]+?)\s*\}\}\s*")
_ALLOWED: Final = (
    nodes.Add, nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Dict, nodes.Div, nodes.Filter,
    nodes.FloorDiv, nodes.For, nodes.Getattr, nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Mod, nodes.Mul,
    nodes.Name, nodes.Neg, nodes.Not, nodes.Operand, nodes.Or, nodes.Output, nodes.Pair, nodes.Pos, nodes.Slice,
    nodes.Sub, nodes.Template, nodes.TemplateData, nodes.Test, nodes.Tuple,
)  # fmt: skip


class TemplateRefusedError(Exception):
    """What is wrong with a template, as a sentence."""


def names_in_template(source: str) -> frozenset[str]:
    """The names that a template asks for.

    Raises:
        TemplateRefusedError: It is not a template, or holds what is not allowed.
    """
    return _names(_parsed(source))


def names_in_expression(source: str) -> frozenset[str]:
    """The names that an expression asks for, like `sentiment` in `sentiment.label == 'NEGATIVE'`.

    Raises:
        TemplateRefusedError: It is not one expression, or holds what is not allowed.
    """
    if not source.strip():
        raise TemplateRefusedError("is empty")
    try:
        parsed = _parsed("{{ (" + source + ") }}")
    except TemplateRefusedError as error:
        raise TemplateRefusedError(_hint(source, str(error)) or str(error)) from error
    match parsed.body:
        case [nodes.Output(nodes=[nodes.Expr() as only])] if not isinstance(only, nodes.TemplateData):
            return _names(parsed)
    raise TemplateRefusedError("must be one expression, without {{ }}")


def _hint(source: str, error: str) -> str:
    """What to write instead of an expression that is no Jinja2; empty if that is not clear."""
    if braced := _BRACED.fullmatch(source):
        return f"is an expression, which is written without {{{{ }}}}: {braced[1]}"
    return "is not Jinja2: to compare, write == instead of =" if error.endswith("got '='") else ""


def _parsed(source: str) -> nodes.Template:
    try:
        return _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise TemplateRefusedError(f"is not Jinja2: {error.message}") from error
    except RecursionError as error:
        raise TemplateRefusedError("is nested too deep") from error


def _names(parsed: nodes.Template) -> frozenset[str]:
    try:
        for node in parsed.find_all(nodes.Node):
            _check(node)
        return _free(parsed, frozenset()) - FUNCTIONS
    except RecursionError as error:
        raise TemplateRefusedError("is nested too deep") from error


def _free(node: nodes.Node, bound: frozenset[str]) -> frozenset[str]:
    """The names that a part asks for, but those that loops around it bind.

    Jinja2's own way, `meta.find_undeclared_variables`, compiles the template and on the way computes what is constant
    in it: 'a' * 9999999999.
    """
    if isinstance(node, nodes.Name):
        return frozenset({node.name}) - bound
    if isinstance(node, nodes.For):
        inside = bound | _free(node.target, frozenset()) | {"loop"}
        outer = _free(node.iter, bound).union(*(_free(part, bound) for part in node.else_))
        return outer.union(*(_free(part, inside) for part in (*node.body, node.test) if part))
    return frozenset[str]().union(*(_free(part, bound) for part in node.iter_child_nodes()))


def _check(node: nodes.Node) -> None:
    match node:
        case nodes.Call(node=nodes.Name(name=name)) if name in FUNCTIONS:
            return
        case nodes.Call():
            raise TemplateRefusedError(f"only {', '.join(sorted(FUNCTIONS))} can be called")
        case nodes.Filter(name=name) if name not in FILTERS:
            raise TemplateRefusedError(f"there is no filter {name}; there are {', '.join(sorted(FILTERS))}")
        case nodes.For(recursive=True):
            raise TemplateRefusedError("a loop may not be recursive")
        case nodes.Getattr(attr=name) if name.startswith("_"):
            raise TemplateRefusedError(f"{name} is not a field that a template may read")
        case nodes.Name(name=name, ctx="store") if name.startswith("_"):
            raise TemplateRefusedError(f"{name} may not be a variable's name")
        case nodes.Name(name="loop", ctx="store"):
            raise TemplateRefusedError("loop means something else in a loop")
        case nodes.Test(name=name) if name not in _ENVIRONMENT.tests:
            raise TemplateRefusedError(f"there is no test {name}")
        case _ if not isinstance(node, _ALLOWED):
            raise TemplateRefusedError(f"{type(node).__name__.lower()} is not allowed in a template")
