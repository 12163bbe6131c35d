from __future__ import annotations

import re
from typing import Literal

import pytest
from pydantic import BaseModel

from distillation.documents import Interval
from docs.examples import EXAMPLES
from docs.generate import PAGE, field_meanings, generate_page, models, type_name

BASES = {"BaselineFigures", "CostResult", "Record", "Event", "FailureCause", "StageLimits"}
"""Models that exist to be inherited from."""


def page() -> str:
    return PAGE.read_text("utf-8")


def test_page_matches_the_models() -> None:
    assert page() == generate_page(page()), "docs/data-formats.md is out of date: run make docs"


def test_page_describes_every_model_once() -> None:
    headings = re.findall(r"^#+ (\w+)$", page(), re.MULTILINE)

    assert {name: headings.count(name) for name in models() if headings.count(name) != 1} == dict.fromkeys(BASES, 0)


def test_every_link_within_the_page_has_a_heading() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page(), re.M)
    }

    assert set(re.findall(r"\]\(#([\w-]+)\)", page())) <= anchors


def test_every_example_is_an_example_of_a_described_model() -> None:
    assert EXAMPLES.keys() <= models().keys()
    assert page().count("```json\n") == len(EXAMPLES) + 1


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "integer"),
        (float | None, "number or null"),
        (list[str], "list of strings"),
        (list[Literal["a", "b"]], 'list of (`"a"` or `"b"`)'),
        (dict[str, list[float]], "map of lists of numbers"),
        (tuple[str, int], "[string, integer]"),
        (dict[str, Interval], "map of [Interval](#interval)"),
    ],
)
def test_types_are_named_in_the_words_of_json(annotation: object, name: str) -> None:
    assert type_name(annotation) == name


def test_meaning_of_an_inherited_field_is_that_of_its_class() -> None:
    assert field_meanings(models()["StepCost"])["low"] == "Lower bound."


def test_field_without_a_docstring_is_an_error() -> None:
    class Bare(BaseModel):
        x: int

    with pytest.raises(ValueError, match=r"Bare\.x has no docstring"):
        field_meanings(Bare)
