from __future__ import annotations

import pytest

from benchmarks import cost
from distillation.models.prices import price


def test_bars_are_met_and_each_line_has_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost.main() == 0

    output = capsys.readouterr().out
    tables = output.split("\n### ")[1:]
    assert len(tables) == 3 * 3 + 1
    lines = [row.split(" | ") for row in output.splitlines() if "Nova" in row and row.count(" | ") == 5]
    assert len(lines) > 50
    assert all(price("amazon.nova-pro-v1:0", "input").source in row[5] for row in lines if "Nova Pro" in row[1])
    assert "| NO |" not in output


def test_missed_bar_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    missed = cost.Bar("first verdict", 5.01, 0, 5)
    monkeypatch.setattr(cost, "bars", lambda: iter([missed]))
    monkeypatch.setattr(cost, "_PHOTOS", ())

    assert cost.main() == 1


def test_procedure_of_the_article_pays_for_an_hour_of_provisioned_throughput_and_for_the_standard_tier() -> None:
    (article,) = cost.article(300)
    lines = {line.what: line for line in article.lines}

    assert lines["provisioned throughput"].usd.expected == 60.5
    assert lines["Nova Lite, 300 images, 5 epochs"].usd.expected == pytest.approx(2.1, rel=0.2)
    assert lines["Nova Pro, input"].price.use == "input"
    assert lines["Nova Pro, output"].quantity.expected == pytest.approx(1.05 * 400 * 120)
    assert lines["Nova Lite, output"].quantity.expected == 100 * 120


def test_growth_pays_less_for_the_first_verdict_than_one_round_pays() -> None:
    growth = cost.rounds(20_000, {"grow": True})
    (baseline, whole) = cost.rounds(20_000, {"train_sizes": [18_000]})

    assert sum(round_.usd for round_ in growth[:2]) < 0.2 * (baseline.usd + whole.usd)
    assert any("Nova 2 Lite" in line.what for line in baseline.lines)
