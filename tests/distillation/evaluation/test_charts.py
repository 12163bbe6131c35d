from __future__ import annotations

import re

from distillation.documents import Loss, ScoresByRole
from distillation.evaluation import charts
from tests.support.builders import any_interval


def test_tuned_model_is_displayed_with_its_number_of_images() -> None:
    assert [charts.display_name(name) for name in ("n30", "base", "nova")] == ["tuned on 30", "base", "nova"]


def test_chart_has_variables_of_the_page_instead_of_colours() -> None:
    svg = charts.distribution_chart([0.1, 0.2], {"n8": [0.3, 0.4], "n16": [0.5, 0.6]})

    assert {"var(--base)", "var(--tuned-1)", "var(--tuned-2)", "var(--ink)"} <= set(re.findall(r"var\(.*?\)", svg))
    assert not re.search(r"#0[1-8]0[1-8]0[1-8]", svg)
    assert svg.startswith('<svg aria-hidden="true"')


def test_ids_of_two_charts_on_one_page_differ() -> None:
    charts_of_page = (charts.distribution_chart(None, {"n8": [0.3]}), charts.change_chart([0.1], [0.3], "n8"))
    ids = [set(re.findall(r'id="(.*?)"', svg)) for svg in charts_of_page]

    assert all(ids)
    assert not ids[0] & ids[1]


def test_names_of_levels_that_nearly_meet_are_moved_apart() -> None:
    scores = ScoresByRole(
        base=any_interval(0.2), floor=any_interval(0.2), control=any_interval(0.21), tuned={"n8": any_interval(0.5)}
    )
    svg = charts.scaling_chart(scores, None)
    heights = {name: float(y) for y, name in re.findall(r'translate\([\d.]+ ([\d.]+)\)">(base|floor|control)<', svg)}
    if not heights:
        places = re.findall(r'<text [^>]*?y="([\d.]+)"[^>]*>(base|floor|control)</text>', svg)
        heights = {name: float(y) for y, name in places}

    assert set(heights) == {"base", "floor", "control"}
    # SVG counts from the top, so a higher level has a smaller y.
    gaps = [heights["base"] - heights["floor"], heights["floor"] - heights["control"]]
    assert min(gaps) > 5


def test_loss_chart_needs_a_loss() -> None:
    losses = [Loss(step=1, loss=2.5), Loss(step=2, loss=1.5)]

    assert charts.loss_chart({"12": []}, {"12": []}) is None
    svg = charts.loss_chart({"12": losses}, {"12": losses})
    assert svg is not None
    assert "12 images, training" in svg
    assert "12 images, validation" in svg


def test_outcome_chart_counts_the_images_that_are_right_before_and_after_training() -> None:
    svg = charts.outcome_chart([0, 0, 0, 1, 1, 0], [1, 1, 1, 1, 0, 0], "n8")
    texts = re.findall(r">([^<>\n]+)</text>", svg)

    assert {"both right", "only tuned on 8 right", "only base right", "both wrong"} <= set(texts)
    assert sorted(texts[-4:]) == ["1", "1", "1", "3"]
