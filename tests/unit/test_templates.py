"""Templates: what the operator lets pass, and what the app does with the rest."""

import re

import pytest
from jinja2 import TemplateError

from llmpipeline_serve import templates
from llmpipeline_serve.contract import templates as checked
from llmpipeline_serve.templates import MOST_CHARACTERS, MOST_STEPS, Result, expression, template

VALUES = {
    "request": Result(text="hé", items=[1, 2], numbers=list(range(MOST_STEPS + 1))),
    "sentiment": Result(label="NEGATIVE", score=0.9),
    "long": "x" * (MOST_CHARACTERS - 1),
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ request.text }} is {{ sentiment.label|lower }}", "hé is negative"),
        ("{% for n in request.items %}{{ loop.index }}:{{ n }} {% endfor %}", "1:1 2:2 "),
        ("{% if sentiment.score > 0.5 %}sure{% else %}unsure{% endif %}", "sure"),
        ("{{ request.nothing|default('-') }}", "-"),
        ("{{ {'a': '<é>'}|tojson }}", '{"a": "<é>"}'),
        ("{{ sentiment.skipped }}", "False"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{{ 'a' ~ (1 + 2) }} {{ 7 % 4 }} {{ 2 * 3 }}", "a3 3 6"),
    ],
)
def test_a_template(source: str, text: str) -> None:
    assert checked.names_in_template(source) <= VALUES.keys()
    assert template(source)(VALUES) == text


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("sentiment.label == 'NEGATIVE'", True),
        ("request.items", [1, 2]),
        ("{'a': request.text, 'b': [sentiment.score]}", {"a": "hé", "b": [0.9]}),
        ("sentiment", {"label": "NEGATIVE", "score": 0.9}),
        ("'short' if request.text|length < 5 else 'long'", "short"),
    ],
)
def test_an_expression(source: str, value: object) -> None:
    assert checked.names_in_expression(source) <= VALUES.keys()
    assert expression(source)(VALUES) == value


def test_the_names_that_are_asked_for() -> None:
    assert checked.names_in_template("{% for a in b %}{{ a }}{{ c.d }}{% endfor %}{{ range(2) }}") == {"b", "c"}
    assert checked.names_in_template(
        "{% for a, b in a if b %}{{ loop.index }}{{ d }}{% else %}{{ b }}{% endfor %}{{ loop }}"
    ) == {"a", "b", "d", "loop"}
    assert checked.names_in_expression("a.b and not c") == {"a", "c"}


@pytest.mark.parametrize("source", ["'a' * 99999999999", "'%99999999999d' % 1", "'a'" + "|replace('a', 'a' * 99)" * 9])
def test_checking_a_template_computes_nothing(source: str) -> None:
    assert checked.names_in_expression(source) == frozenset()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ 'a'.__class__ }}", "__class__ is not a field"),
        ("{{ request.text.format(1) }}", "only range can be called"),
        ("{{ cycler(1) }}", "only range can be called"),
        ("{% set x = x ~ x %}", "assign is not allowed"),
        ("{% set x %}{{ x }}{{ x }}{% endset %}", "assignblock is not allowed"),
        ("{% macro f() %}{{ f() }}{% endmacro %}", "macro is not allowed"),
        ("{% include 'x' %}", "include is not allowed"),
        ("{% import 'x' as x %}", "import is not allowed"),
        ("{% for a in b recursive %}{% endfor %}", "may not be recursive"),
        ("{{ a|center(1000000000) }}", "there is no filter center"),
        ("{{ a|attr('x') }}", "there is no filter attr"),
        ("{{ 2 ** 1000000 }}", "pow is not allowed"),
        ("{{ ", "is not Jinja2"),
        ("{% for a in b %}", "is not Jinja2"),
        ("{{ a is nothing }}", "there is no test nothing"),
        ("{% for loop in a %}{% endfor %}", "loop means something else"),
        ("{{ a" + ".b" * 5000 + " }}", "is nested too deep"),
        ("{{ 1" + "+1" * 5000 + " }}", "is nested too deep"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "is nested too deep|is not Jinja2"),
    ],
)
def test_what_is_refused_with_the_resource(source: str, says: str) -> None:
    with pytest.raises(checked.TemplateRefusedError, match=says):
        checked.names_in_template(source)


@pytest.mark.parametrize("source", ["", "a }} b {{ c", "a %} x", "{{ a }}", "1 +", "a) }}{{ (b", "set x = 1"])
def test_what_is_no_expression(source: str) -> None:
    with pytest.raises(checked.TemplateRefusedError):
        checked.names_in_expression(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ answer.text }}", "is an expression, which is written without {{ }}: answer.text"),
        ("answer.label = 'x'", "to compare, write == instead of ="),
        ("answer.label == 'x'", ""),
        ("answer.text|truncate(length=9)", ""),
    ],
)
def test_common_slips_in_an_expression(source: str, says: str) -> None:
    if not says:
        assert checked.names_in_expression(source) == {"answer"}
        return
    with pytest.raises(checked.TemplateRefusedError, match=re.escape(says)):
        checked.names_in_expression(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in request.numbers %}{% endfor %}",
        "{{ range(1000000000)|list }}",
        "{{ long ~ long }}",
        "{{ long|replace('x', long) }}",
        "{{ range(10000)|join(long) }}",
        "{{ long * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ request.nothing }}",
        "{{ request.text + 1 }}",
        "{{ 1 / 0 }}",
        "{{ sentiment.nothing.more }}",
        "{{ nowhere }}",
        # These the operator refuses; that they do no harm here either does not depend on it.
        "{{ ''.__class__.__mro__ }}",
        "{{ request.text.__class__ }}",
        "{{ sentiment.items() }}",
        "{{ lipsum(1000) }}",
        "{{ 9 ** 9 ** 9 }}",
    ],
)
def test_what_ends_in_an_error_at_once(source: str) -> None:
    with pytest.raises(TemplateError):
        template(source)(VALUES)


# As long as a request may be. (The bound on what is read has nothing to do with the machine: so no time is measured.)
LONGEST = "Word another " * (MOST_CHARACTERS // 13)
MANY = [f"keyword{index}" for index in range(9000)]
LARGE = {"request": {"text": LONGEST, "other": LONGEST[:-1] + "x", "many": MANY}}


@pytest.mark.parametrize(
    "inside",
    [
        "{% if word in request.text|lower %}x{% endif %}",
        "{% if word in request.text %}x{% endif %}",
        "{% if request.text == request.other %}x{% endif %}",
        "{% if request.text is lower %}x{% endif %}",
        "{% if request.text is eq request.other %}x{% endif %}",
        "{{ request.text|wordcount }}",
        "{{ request.text|length }}",
        "{{ (request.text ~ word)|length }}",
        "{{ (request.text + word)|length }}",
        "{{ request.text[1:]|length }}",
        "{{ request.many|sort|first }}",
        "{{ request.many|unique|first }}",
        "{{ request.many|join|length }}",
        "{{ request|tojson|length }}",
        "{% if word in request.many %}{% endif %}",
    ],
)
def test_what_reads_a_long_text_again_and_again_ends(inside: str) -> None:
    with pytest.raises(TemplateError, match=r"read more than|longer than"):
        template("{% for word in request.many %}" + inside + "{% endfor %}")(LARGE)


def test_a_long_text_can_be_read_by_several_filters() -> None:
    source = "{{ request.text|lower|trim|length }} {{ 'another' in request.text }}"
    assert template(source)(LARGE) == f"{len(LONGEST) - 1} True"
    assert template("{{ request.text|wordcount }}")(LARGE) == str(2 * (MOST_CHARACTERS // 13))


def test_what_is_missing_can_still_be_asked_for() -> None:
    assert expression("request.nothing is defined")(VALUES) is False
    assert expression("request.nothing|default('x')")(VALUES) == "x"


def test_a_dot_reads_a_field_and_never_a_method() -> None:
    with pytest.raises(TemplateError, match="there is no keys"):
        expression("request.keys")(VALUES)


def test_both_sides_know_the_same_filters() -> None:
    assert checked.FILTERS == templates.FILTERS
