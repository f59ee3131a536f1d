"""Templates and expressions of Jinja2, evaluated where they can do no harm.

A template is the pipeline author's; what it is filled with is anybody's. Jinja's sandbox keeps it from Python. The
operator has rejected what assigns, defines or includes (`llmpipeline_serve.contract.templates`), so that what is left
can neither grow nor loop without bound but by what is counted here: steps of loops, characters that are made, and
characters that are read. A filter over a long text is one step and takes as long as a million short ones.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from llmpipeline_serve.contract.templates import FILTERS

MOST_STEPS: Final = 10_000
MOST_CHARACTERS: Final = 4 * 2**20
# Several filters over a text as long as a request may be: some tenths of a second at worst.
MOST_READ: Final = 8 * MOST_CHARACTERS
# By how much slower they read (CPython 3.11: `wordcount` 65 ns a character, `lower` 1.2 ns), but so that each can read
# a text of the greatest length once.
_SLOW: Final = {"wordcount": 8, "title": 8, "unique": 8, "sort": 8}
_ITEM: Final = 8


class TemplateLimitError(TemplateError):
    """An evaluation took too many steps, or made too long a text."""


class Result(dict[str, Any]):
    """The fields of something that templates may ask, and what to raise if one is not there."""

    skipped = False

    def lacks(self, name: str) -> Exception:
        """The error of asking for a field that is not there."""
        return UndefinedError(f"there is no {name}")


class _Missing(StrictUndefined):
    """What is not there. Using it raises what the object that lacks it says."""

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = UndefinedError
    ) -> None:
        # Jinja calls it with a message, which is not needed, and raises what it returns.
        raised: Any = (lambda _: obj.lacks(name or "")) if isinstance(obj, Result) else exc
        super().__init__(hint, obj, name, raised)

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, Mapping):
            return f"there is no {self._undefined_name}"
        return super()._undefined_message


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, in which a dot reads a field and never a method of Python's."""

    intercepted_binops = frozenset({"%", "*", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if not isinstance(obj, Mapping):
            return super().getattr(obj, attribute)
        if attribute in obj:
            return obj[attribute]
        if attribute == "skipped" and isinstance(obj, Result):
            return obj.skipped
        return self.undefined(obj=obj, name=attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float) or operator == "**":
            raise SecurityError(f"{operator} is for numbers")
        return super().call_binop(context, operator, left, right)


class _Count(NodeTransformer):
    """Makes loops, and what reads whole texts, draw from one budget, which the caller puts into the context."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # the visitor's own naming
        self.generic_visit(node)
        node.iter = nodes.Call(nodes.Name("__counted", "load"), [node.iter], [], None, None)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        if node.node is not None:
            node.node = _reading(node.node, _SLOW.get(node.name, 1))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _reading(node.expr)
        for operand in node.ops:
            operand.expr = _reading(operand.expr)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Test:  # noqa: N802
        self.generic_visit(node)
        if node.name not in ("defined", "undefined"):  # which alone may be asked of what is missing
            node.node = _reading(node.node)
            node.args = [_reading(argument) for argument in node.args]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_reading(part) for part in node.nodes]
        return node

    def visit_Add(self, node: nodes.Add) -> nodes.Add:  # noqa: N802
        self.generic_visit(node)
        node.left, node.right = _reading(node.left), _reading(node.right)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _reading(node.node)
        return node


def _reading(node: nodes.Expr, factor: int = 1) -> nodes.Expr:
    """The same value, whose characters are counted when it is evaluated."""
    return nodes.Call(nodes.Name("__read", "load"), [node, nodes.Const(factor)], [], None, None)


class Compiled:
    """A template or expression, ready to be evaluated any number of times."""

    def __init__(self, template: Template, *, expression: bool) -> None:
        self._template = template
        self._expression = expression

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Evaluate it: a template gives a text, an expression the value itself.

        Raises:
            TemplateError: A field is missing (or what its object says instead), a limit is passed, or the values are of
                the wrong types.
        """
        context = self._template.new_context({**values, "__counted": _counter(), "__read": _reader()})
        try:
            if not self._expression:
                return _bounded_text(self._template.root_render_func(context))
            for _ in self._template.root_render_func(context):
                pass
            return _present(context.vars["result"])
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError) as error:
            raise TemplateError(f"{type(error).__name__}: {error}") from error


def template(source: str) -> Compiled:
    """Compile a template.

    Raises:
        TemplateError: It is not one.
    """
    return Compiled(_compile(_environment().parse(source)), expression=False)


def expression(source: str) -> Compiled:
    """Compile an expression, like `sentiment.label == 'NEGATIVE'`.

    Raises:
        TemplateError: It is not one.
    """
    return Compiled(_compile(_environment().parse("{% set result = (" + source + ") %}")), expression=True)


def _compile(parsed: nodes.Template) -> Template:
    environment = _environment()
    code = environment.compile(_Count().visit(parsed))
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    environment = _Environment(undefined=_Missing, keep_trailing_newline=False)
    bounded: dict[str, Callable[..., Any]] = {"join": _join, "replace": _replace, "tojson": _tojson}
    environment.filters = {name: bounded.get(name, environment.filters[name]) for name in sorted(FILTERS)}
    environment.globals = {"range": _range}
    return environment


def _counter() -> Callable[[Iterable[Any]], Iterator[Any]]:
    left = MOST_STEPS

    def counted(items: Iterable[Any]) -> Iterator[Any]:
        nonlocal left
        for item in items:
            left -= 1
            if left < 0:
                raise TemplateLimitError(f"the loops take more than {MOST_STEPS} steps")
            yield item

    return counted


def _reader() -> Callable[[Any, int], Any]:
    left = MOST_READ

    def read(value: Any, factor: int) -> Any:
        nonlocal left
        left -= factor * _size(value)
        if left < 0:
            raise TemplateLimitError(f"the filters and comparisons read more than {MOST_READ} characters")
        return value

    return read


def _size(value: Any) -> int:
    """Characters in a value, those of its items too: what reading all of it takes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _size(item) + _ITEM for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(_size(item) + _ITEM for item in value)
    return 0


def _bounded_text(pieces: Iterable[str]) -> str:
    parts: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        _check_length(length)
        parts.append(piece)
    return "".join(parts)


def _present(value: Any) -> Any:
    """The value, in which nothing is missing."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, dict) and not isinstance(value, Result):
        return {key: _present(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], int | float)):
        return [_present(item) for item in value]
    return value


def _check_length(length: int) -> None:
    if length > MOST_CHARACTERS:
        raise TemplateLimitError(f"the text is longer than {MOST_CHARACTERS} characters")


def _range(*bounds: int) -> range:
    steps = range(*bounds)
    if len(steps) > MOST_STEPS:
        raise TemplateLimitError(f"range gives more than {MOST_STEPS} numbers")
    return steps


def _join(values: Iterable[Any], separator: str = "") -> str:
    parts = [str(value) for value in values]
    _check_length(sum(map(len, parts)) + len(str(separator)) * len(parts))
    return str(separator).join(parts)


def _replace(text: str, old: str, new: str) -> str:
    text, old, new = str(text), str(old), str(new)
    _check_length(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _tojson(value: Any) -> str:
    # Jinja's own escapes for HTML, which would put \u003c into prompts.
    return json.dumps(_present(value), ensure_ascii=False)
