from __future__ import annotations

import json
import re
from datetime import timedelta
from math import ceil

import pytest

from cli.stage import stage_settings
from distillation.models import catalog
from distillation.models.service_quotas import CONCURRENT_EXECUTIONS, CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS
from distillation.training.stuck_jobs import MAXIMUM_WAIT
from docs.generate import ROOT, generate_page
from infra.config import StageConfig
from infra.state_machine_definition import render

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
FIRST_HOUR = (ROOT / "docs" / "first-hour.md").read_text("utf-8")
EVENTS = {"Task": 5, "Choice": 2, "Wait": 2}
"""History events of a state: entered and exited; a Task is also scheduled, started and succeeded."""
HISTORY_LIMIT = 25_000


def section(title: str) -> str:
    level = re.search(rf"^(#+) {title}$", PAGE, re.MULTILINE)
    assert level
    return re.split(rf"^#{{1,{len(level[1])}}} ", PAGE[level.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def events_of_polling(stuck_sizes: int, wait: timedelta) -> tuple[timedelta, int]:
    """Return how long stuck sizes are polled, and the history events of that."""
    train = json.loads(render())["States"]["TrainModels"]
    states = train["ItemProcessor"]["States"]
    loop = [states[name] for name in ("Customize", "JobCompleted", "WaitForJob")]
    polls = wait.total_seconds() / states["WaitForJob"]["Seconds"]
    per_poll = sum(EVENTS[state["Type"]] for state in loop)
    return wait * ceil(stuck_sizes / train["MaxConcurrency"]), round(stuck_sizes * polls * per_poll)


def test_table_of_settings_is_that_of_the_configuration() -> None:
    assert generate_page(PAGE) == PAGE, "docs/operations.md is out of date: run make docs"
    for name in StageConfig.model_fields.keys() - {"stage", "notify"}:
        assert f"| `{name}` |" in section("Settings of a stage")


@pytest.mark.parametrize("row", re.findall(r"^\| (\d)([^|]*) \| (\d) days \| ([\d,]+) \| (.*) \|$", PAGE, re.MULTILINE))
def test_events_of_stuck_sizes_follow_from_the_definition(row: tuple[str, str, str, str, str]) -> None:
    sizes, stops, days, events, within = row
    wait = timedelta(hours=StageConfig.model_fields["stuck_job_hours"].default) if stops else MAXIMUM_WAIT

    assert events_of_polling(int(sizes), wait) == (timedelta(days=int(days)), int(events.replace(",", "")))
    assert ("no" in within.split("**")) == (int(events.replace(",", "")) > HISTORY_LIMIT)


def test_table_of_stuck_sizes_has_its_rows() -> None:
    assert len(re.findall(r"^\| \d.* days \|", section("25,000 events"), re.MULTILINE)) == 5


def test_table_of_quotas_has_every_code_that_a_run_reads() -> None:
    settings = stage_settings("dev")
    models = [catalog.get_model(model) for model in [*settings["teachers"], *settings["students"]]]
    codes = {CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS, CONCURRENT_EXECUTIONS}
    codes |= {code for model in models for code in (model.records_quota, model.tokens_per_day_quota) if code}
    # Nova Pro is only a teacher of this stage, so nobody trains it.
    codes -= {catalog.get_model(model).records_quota for model in settings["teachers"]}

    assert codes <= set(re.findall(r"\| (L-[0-9A-F]{8}) \|", FIRST_HOUR))


def test_table_of_quotas_has_the_tokens_per_day_of_the_catalog() -> None:
    settings = stage_settings("dev")
    rows = FIRST_HOUR.splitlines()
    for model in [*settings["teachers"], *settings["students"]]:
        (row,) = [row for row in rows if f"| {catalog.get_model(model).tokens_per_day_quota} |" in row]

        assert f"| {catalog.default_quota(model).tokens_per_day:,.0f} |" in row
