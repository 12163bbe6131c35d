"""Figures of docs/costs.md and README.md, compared with what the commands beside them print."""

from __future__ import annotations

import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from distillation.answers.formats import parse_format
from distillation.models.prices import price
from distillation.runs.request import shipped_prompt
from tests.support.command import distill

ROOT = Path(__file__).parents[2]
COSTS = (ROOT / "docs/costs.md").read_text("utf-8")
EXAMPLES = re.findall(r"echo '(\{.*\})' > request.json\ndistill estimate (\S+) --request request.json", COSTS)


def estimated(what: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return an estimate as JSON. Tests must not change it: the estimate of 20,000 photos takes a second."""
    return json.loads(_printed(what, json.dumps(request), "--json"))


def estimated_text(what: str, request: dict[str, Any]) -> str:
    """Return an estimate as text."""
    return _printed(what, json.dumps(request))


@cache
def _printed(what: str, request: str, *options: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(request)
        return distill("estimate", what, "--request", str(path), *options).stdout


def table_row(usd: dict[str, float], mark: str = "") -> str:
    return " | ".join(f"{mark}${usd[bound]:,.2f}{mark}" for bound in ("expected", "low", "high"))


@pytest.mark.parametrize("example", range(2))
def test_tables_of_the_examples_are_those_of_their_commands(example: int) -> None:
    request, what = EXAMPLES[example]
    estimate = estimated(what, json.loads(request))
    section = COSTS.partition(f"distill estimate {what} --request")[2].partition("\n### ")[0]

    assert f"| **in all** | {table_row(estimate['range'], '**')} |" in section
    for line in estimate["lines"]:
        if line["step"] == "TrainModels":
            size = line["what"].split()[2]
            assert f"| training on {size} * | {table_row(line['usd'])} |" in section
    for step, words in (("LabelImages", "labels"), ("PredictTestImages", "base, base with")):
        assert re.search(rf"\| {words}.* \| {re.escape(table_row(estimate['by_step'][step]))} \|", section)


def test_plan_of_20_000_photos_is_that_of_its_command() -> None:
    request, what = EXAMPLES[1]
    estimate, text = estimated(what, json.loads(request)), estimated_text(what, json.loads(request))
    section = COSTS.partition("And the plan:")[2].partition("\n### ")[0]

    assert len(estimate["plan"]) == section.count("\n| ") - 1
    for planned in estimate["plan"]:
        row = f"| {planned['result']} | {planned['labels_to_ask']:,} | {table_row(planned['usd'])} | "
        assert row in section
        after = section.partition(row)[2].partition(" |")[0]
        assert re.search(rf"{re.escape(planned['result'])}.* {re.escape(after)}\n", text)
    one_round = estimated(what, {"max_usd": 150, "train_sizes": [18000]})
    usd = one_round["range"]
    assert f"one round for ${usd['expected']:.2f} (${usd['low']:.2f} to ${usd['high']:.2f})" in section


def test_plan_of_1_000_photos_in_the_readme_is_that_of_its_command() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    baseline, verdict = (planned["usd"]["expected"] for planned in estimated("1000x900x600", {})["plan"])
    grown = estimated("1000x900x600", {"grow": True})
    at_1000 = estimated_text("1000x900x600", {"images_per_month": 1000})

    assert f"it takes about ${baseline:.2f} to know whether distilling is worth it" in readme
    assert f"about ${baseline + verdict:.0f} to have a tuned model (about ${grown['usd']:.0f} for the first" in readme
    assert "At 1,000 images a month the teacher on flex costs $0.65; do not distil." in at_1000
    assert "at 1,000 images a month the teacher on flex costs $0.65" in readme


def test_readme_says_when_the_small_model_is_cheaper_and_by_how_much() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    pro, flex, lite = (
        [price(f"amazon.nova-{model}-v1:0", f"{kind}{tier}").cost(1) for kind in ("input", "output")]
        for model, tier in (("pro", ""), ("pro", "-flex"), ("lite", ""))
    )
    for dearer, share in ((pro, "1/13"), (flex, "1/7")):
        assert {f"1/{large / small:.0f}" for large, small in zip(dearer, lite, strict=True)} == {share}
        assert f"about {share} of Nova Pro" in readme

    text = estimated_text("1000x900x600", {})
    images = re.search(r"only above ([\d,]+) images a month", text)
    assert images
    assert f"{round(int(images[1].replace(',', '')), -2):,} images a month against Nova Pro on flex" in readme


@pytest.mark.parametrize("name", ["keywords", "category", "listing", "alt_text"])
def test_tokens_of_answers_to_the_shipped_prompts_are_those_of_its_format(name: str) -> None:
    answers = shipped_prompt(name, "prompt").answers
    tokens = " | ".join(map(str, parse_format(answers, name).answer_tokens()))

    assert f"| `{name}` | {answers['format']} | {tokens} |" in COSTS
