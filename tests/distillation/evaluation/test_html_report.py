from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from distillation.costs.break_even import break_even
from distillation.documents import Bounds, Money, Recommendation
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.evaluation.html_report import THUMBNAIL_SIDE, Page, Picture, render
from distillation.records import Limits
from tests.distillation.evaluation.answers import answer, any_evidence
from tests.support.builders import any_baseline, any_report, any_run


def any_page(evaluation: Evaluation | None) -> Page:
    return Page(title="t", subtitle="s", teacher="big", student="small", verdict="So it is.", evaluation=evaluation)


@pytest.fixture(scope="module")
def page() -> str:
    """Return the page of ``any_evidence``."""
    return page_of(any_evidence())


def page_of(evidence: Evidence) -> str:
    return render(any_page(evaluate(evidence)), [])


def row_names(page: str) -> list[str]:
    table = page[page.index("Table of scores") : page.index("</table>")]
    return re.findall(r'<th scope="row">(.*?)</th>', table)


def test_scores_are_listed_from_the_lowest_to_the_highest(page: str) -> None:
    assert row_names(page) == ["base", "control", "floor", "tuned on 8", "ceiling"]


def test_equal_scores_are_listed_in_the_order_floor_base_control_ceiling() -> None:
    evidence = any_evidence()
    equal = replace(evidence, tuned={"n8": evidence.labels})
    assert row_names(page_of(equal))[-2:] == ["ceiling", "tuned on 8"]

    nothing = {name: answer("unseen", image=name) for name in evidence.labels}
    assert row_names(page_of(replace(evidence, base=nothing, tuned={"n8": nothing})))[:3] == [
        "floor",
        "base",
        "tuned on 8",
    ]


def test_scores_against_own_labels_are_shown(page: str) -> None:
    gold = {f"i{number}": answer(f"cat, thing {number}", image=f"i{number}") for number in range(10)}

    assert "Compared with your own labels (10 images)" in page_of(replace(any_evidence(), gold=gold))
    assert "your own labels" not in page


def test_metrics_have_one_column_for_each_answerer(page: str) -> None:
    table = page[page.index("Table of all metrics") :]

    assert re.findall(r'<th scope="col" class="number">(.*?)</th>', table)[:3] == ["base", "tuned on 8", "ceiling"]
    assert "100.0 %" in table
    assert "requested number of keywords" not in table


def headlines(page: str) -> dict[str, tuple[str, str]]:
    """Return figure and explanation of each headline by title, in the order of the page."""
    pattern = r'<dt>(.*?)</dt><dd class="figure">(.*?)</dd>\s*<dd class="about">(.*?)</dd>'
    return {title: (figure, about) for title, figure, about in re.findall(pattern, page.replace("\u00a0", " "))}


@pytest.mark.parametrize(
    ("base", "first"),
    [
        ("dog, sea, sky", "of the gap from the most common keywords closed"),
        ("cat, sofa, thing {}", "of the gap from base closed"),
    ],
)
def test_smaller_share_of_a_gap_comes_first_and_names_the_number_of_test_images(base: str, first: str) -> None:
    evidence = any_evidence("cat, sofa, thing {}")
    answers = {name: answer(base.format(number), image=name) for number, name in enumerate(evidence.labels)}
    shown = headlines(page_of(replace(evidence, base=answers)))
    figures = [int(figure.removesuffix(" %")) for title, (figure, _) in shown.items() if title.endswith("closed")]

    assert next(iter(shown)) == first
    assert figures == sorted(figures)
    assert all("24 test images" in shown[title][1] for title in (first, "gain in Jaccard index"))


def test_valid_answers_and_requested_number_of_keywords_are_shown_beside_the_headline() -> None:
    evidence = replace(any_evidence(), limits=Limits(minimum=4, maximum=9))
    base = {name: answer(None, status="refused", image=name) for name in evidence.labels}
    figure, about = headlines(page_of(replace(evidence, base=base)))["valid answers"]

    assert figure == "100 %"
    assert "base: 0.0 %; ceiling: 100 %" in about
    assert "0.0 % have 4 to 9 keywords as requested (not part of the gate)" in about


@pytest.mark.parametrize(
    ("base", "missing"), [(True, "base and the most common keywords"), (False, "the most common keywords")]
)
def test_page_says_why_no_share_of_a_gap_is_shown(page: str, base: bool, missing: str) -> None:
    evidence = any_evidence()
    invalid = {name: answer(None, status="refused", image=name) for name in evidence.labels}
    without_gap = replace(evidence, ceiling=invalid, base=evidence.labels if base else None)
    note = f"not significantly above {missing}, so no share of that gap is shown"

    assert note in page_of(without_gap)
    assert "not significantly above" not in page
    assert "not significantly above" not in page_of(replace(without_gap, ceiling=None))


def test_page_says_on_which_images_the_size_was_chosen_and_how_that_was_corrected(page: str) -> None:
    evidence = any_evidence()
    two = replace(evidence, tuned={"n8": evidence.tuned["n8"], "n16": evidence.labels})
    names = [f"v{number}" for number in range(50)]
    labels = {name: answer("cat", image=name) for name in names}
    chosen = replace(two, validation=labels, tuned={name: {**lines, **labels} for name, lines in two.tuned.items()})

    assert "chosen" not in page[page.index("headlines") :]
    assert "chosen on the 24 test images themselves" in page_of(two)
    assert "corrected for 2 sizes (Holm 1979)" in page_of(two)
    assert "chosen on 50 validation images" in page_of(chosen)
    assert "corrected for 2 sizes" not in page_of(chosen)


def test_page_explains_why_interval_and_test_disagree(page: str) -> None:
    assert "the test set is small" in page_of(any_evidence(images=5))
    assert "the test set is small" not in page


def test_card_of_an_invalid_answer_has_its_reason_and_its_text() -> None:
    evidence = any_evidence()
    prose = answer("A <cat> on a sofa.", status="refused", image="i3").model_copy(update={"reason": "it is prose"})
    evaluation = evaluate(replace(evidence, tuned={"n8": {**evidence.tuned["n8"], "i3": prose}}))
    page = render(any_page(evaluation), [Picture(image="i3", name="3", jpeg=None, label=evidence.labels["i3"])])

    assert "<b>Not valid, scores 0:</b> it is prose" in page
    assert "A &lt;cat&gt; on a sofa." in page
    assert "<b>Missed</b> cat, colour 3, sofa, thing 3" in page


def test_scaling_chart_needs_training_sizes(page: str) -> None:
    evidence = any_evidence()
    assert "Score by number of training images" in page
    assert "Score by number of training images" not in page_of(replace(evidence, tuned={"student": evidence.labels}))


def test_charts_that_compare_with_base_need_base(page: str) -> None:
    assert "Image by image" in page
    assert "Image by image" not in page_of(replace(any_evidence(), base=None))


def test_card_compares_the_answers_about_an_image_with_its_label() -> None:
    evaluation = evaluate(any_evidence("cat, thing {}, tree"))
    label = answer("Cats, sofa, thing 3, colour 3", image="i3")
    page = render(any_page(evaluation), [Picture(image="i3", name="<b>3</b>.jpg", jpeg=None, label=label)])

    assert "<b>Shared</b> cat, thing 3" in page
    assert "<b>Missed</b> colour 3, sofa" in page
    assert "<b>Extra</b> tree" in page
    assert "&lt;b&gt;3&lt;/b&gt;.jpg" in page


@pytest.mark.parametrize("size", [(900, 600), (600, 900), (100, 50)])
def test_thumbnail_is_at_most_280_pixels_wide_and_high(size: tuple[int, int]) -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", size).save(jpeg, "JPEG")
    picture = Picture(image="i3", name="3", jpeg=jpeg.getvalue(), label=answer("cat", image="i3"))
    page = render(any_page(None), [picture])
    source = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)

    assert source is not None
    with Image.open(io.BytesIO(base64.b64decode(source[1]))) as thumbnail:
        assert max(thumbnail.size) == min(THUMBNAIL_SIDE, max(size))


def test_page_of_a_report_without_figures_shows_photos_and_costs() -> None:
    page = render(replace(any_page(None), report=any_report(evaluation=None)), [])

    assert "60 photos, 60 distinct images" in page
    assert "Spent $0.5000." in page
    assert "All metrics" not in page
    assert "So it is." in page


@pytest.mark.parametrize("trained", [False, True])
def test_recommendation_ends_the_first_screen_and_break_even_stands_with_the_costs(trained: bool) -> None:
    run = any_run(images_per_month=1_000)
    costs = break_even(run, 0.65, 0.09, Bounds(low=1, expected=2, high=3))
    report = any_report(
        recommendation=Recommendation(action="stop here", text="Stop here & use it."),
        money=Money(by_step=[], break_even_images=None, break_even=costs),
    )
    evaluation = evaluate(any_evidence()) if trained else None
    page = render(replace(any_page(evaluation), report=report), [])
    before, _, after = page.partition('<p class="note next"><strong>Next:</strong> Stop here &amp; use it.</p>')

    assert "So it is." in before
    assert ('<dl class="headlines">' in before) == trained
    assert ("<h2>Agreement with the teacher</h2>" in after) == trained
    assert "<h2>" not in before
    assert "At 1,000 images a month the teacher on flex costs $0.65; do not distil." in after


def test_page_of_a_report_without_a_recommendation_has_none(page: str) -> None:
    assert "Next:" not in page
    assert "Next:" not in render(replace(any_page(None), report=any_report()), [])


def test_run_on_local_models_says_that_nothing_was_paid() -> None:
    page = render(replace(any_page(None), report=any_report(evaluation=None), local=True), [])

    assert "These figures say nothing about Amazon Nova." in page
    assert "Nothing was paid. At the prices of the Nova models this run would have cost $0.5000." in page


def test_page_has_no_invisible_characters_and_keeps_joiners_within_words() -> None:
    evidence = any_evidence()
    page = replace(any_page(evaluate(evidence)), title="می\u200cخواهم\u202e\u200b", verdict="\ufeffSo\x07 it is.")
    picture = Picture(image="i0", name="a\u2066b\u200d.jpg", jpeg=None, label=next(iter(evidence.labels.values())))
    html = render(page, [picture])

    assert not set(html) & set("\u202e\u200b\ufeff\x07\u2066\u200d")
    assert "می\u200cخواهم" in html
    assert "ab.jpg" in html


def test_page_compares_the_alternatives_to_training_with_the_ceiling() -> None:
    examples = (
        any_baseline()
        .alternatives[0]
        .model_copy(update={"name": "examples", "label": "Nova Lite with examples", "usd_per_1000": None})
    )
    alternatives = [*any_baseline().alternatives, examples]
    baseline = any_baseline(alternatives=alternatives, notes=["Nova 2 Lite is left out: no access."])
    page = render(replace(any_page(None), report=any_report(evaluation=None, baseline=baseline)), [])
    section = page[page.index("Is training worth it?") :]

    rows = re.findall(r'<th scope="row">(.*?)</th>', section[: section.index("</table>")])
    assert rows == ["Nova Lite", "Nova Lite with examples", "big, asked again (ceiling)"]
    assert "$0.0900" in section
    assert "+0.400" in section
    assert "Train: something can be gained." in section
    assert "Nova 2 Lite is left out: no access." in section
    assert "Is training worth it?" not in render(replace(any_page(None), report=any_report(evaluation=None)), [])
