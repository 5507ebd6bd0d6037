"""Templates in parameters: what they can do, and that they cannot eat time or memory."""

import pytest

from app.rules.templates import InvalidTemplate, render


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no template at all", "no template at all"),
        ("{{ 1 + 1 }}{# a remark #}", "2"),
        ("{{ nobody.knows.it }}", ""),
        ("{{ 'a' ~ 1 }}", "a1"),
        ("{% if 1 > 2 %}a{% else %}b{% endif %}", "b"),
        ("{{ {'a': [1]}|tojson }}", '{"a": [1]}'),
    ],
)
def test_a_template_makes_a_text(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% for i in [1] %}{% endfor %}",
        "{% set a = 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{{ 'a'.upper() }}",
        "{{ range(10) }}",
        "{{ 'a'|center(1000000000) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ {'a': 1}|tojson(1000000000) }}",
        "{{ 'ab'|replace('a', 'aa') }}",
        "{{" + "(" * 3000 + ")" * 3000 + "}}",
        "{{ 1 }}" + "a" * 10_000,
        "{{",
    ],
)
def test_what_could_eat_time_or_memory_is_refused(template: str) -> None:
    with pytest.raises(InvalidTemplate):
        render(template)


def test_nothing_of_the_program_can_be_reached() -> None:
    assert render("{{ ''.__class__ }}{{ self.__init__ }}") == ""
