from __future__ import annotations

import re
import sys
import tomllib
import types
from pathlib import Path
from textwrap import dedent

import pytest

from distillation.answers import formats
from distillation.answers.formats.base import Format, NotInFormat
from distillation.answers.rejection import content_rejection
from distillation.evaluation.evaluation import Evidence, evaluate
from distillation.records import PromptFile
from tests.distillation.evaluation.answers import answer

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
MODULE = "distillation.answers.formats.rating"


def block(language: str) -> str:
    """Return the code block of CONTRIBUTING.md in a language."""
    match = re.search(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
    assert match
    return dedent(match[1])


@pytest.fixture
def rating(monkeypatch: pytest.MonkeyPatch) -> Format:
    """The example format, registered as step 2 says, with the settings of the example prompt."""
    module = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    exec(compile(block("python"), MODULE, "exec"), module.__dict__)
    monkeypatch.setattr(formats, "FORMATS", {**formats.FORMATS, "rating": module.Rating})
    prompt = PromptFile.model_validate(tomllib.loads(block("toml")))
    return formats.parse_format(prompt.answers, "rating.toml")


def test_example_format_reads_and_compares_answers(rating: Format) -> None:
    assert rating.parse(" 4\n") == 4
    with pytest.raises(NotInFormat, match="is not a number from 1 to 5: 'very good'"):
        rating.parse("very good")
    assert rating.similarity(1, 5) == rating.similarity(5, 1) == 0
    assert rating.similarity(3, 3) == 1
    assert content_rejection(rating, "9") == "is not a number from 1 to 5: '9'"
    assert "{answer_format}" in block("toml")


def test_example_format_is_evaluated_as_every_other(rating: Format) -> None:
    images = [f"i{number}" for number in range(24)]
    labels = {image: answer(str(1 + number % 5), image=image) for number, image in enumerate(images)}
    constant = {image: answer("1", image=image) for image in images}
    evidence = Evidence(answer_format=rating, labels=labels, tuned={"n8": labels}, base=constant, ceiling=labels)

    figures = evaluate(evidence).figures

    assert figures.similarity == "similarity of ratings"
    assert figures.agreement.tuned["n8"].mean == 1
    assert figures.agreement.base is not None
    assert figures.agreement.base.mean == pytest.approx(0.5, abs=0.05)
    assert figures.gate is not None
    assert figures.gate.passed


def test_every_format_has_the_methods_that_the_example_names() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE)) & set(dir(Format))

    assert {"instruction", "measures", "tables", "columns", "cells", "label_problem"} <= named
