from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape

import pytest

from distillation.answers.formats import Format, parse_format
from distillation.answers.formats.keywords import Keywords
from distillation.costs.break_even import break_even
from distillation.documents import Bounds, Money, Recommendation, ServingCost, StudentPrompt, Table
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.evaluation.gallery import Picture
from distillation.evaluation.html_report import Page, render
from tests.distillation.evaluation.answers import answer, any_evidence
from tests.support.builders import any_baseline, any_report, any_run

CLASSES = parse_format({"format": "class", "labels": ["people", "animals", "boats"]}, "category.toml")
FIELDS = parse_format(
    {
        "format": "fields",
        "fields": [
            {"name": "subject", "type": "string"},
            {"name": "colours", "type": "list"},
            {"name": "people", "type": "number"},
        ],
    },
    "listing.toml",
)
CAPTION = parse_format({"format": "caption"}, "alt_text.toml")


def any_page(evaluation: Evaluation | None, answer_format: Format | None = None) -> Page:
    return Page(
        title="t",
        subtitle="s",
        teacher="big",
        student="small",
        verdict="So it is.",
        answer_format=answer_format or Keywords(),
        evaluation=evaluation,
    )


@pytest.fixture(scope="module")
def page() -> str:
    """Return the page of ``any_evidence``."""
    return page_of(any_evidence())


def page_of(evidence: Evidence) -> str:
    return render(any_page(evaluate(evidence), evidence.answer_format), [])


def evidence_of(answer_format: Format, label: str, base: str, tuned: str, images: int = 6) -> Evidence:
    """Return the same three answers about each of ``images`` images."""
    names = [f"i{number}" for number in range(images)]
    labels, of_base, of_tuned = ({name: answer(text, image=name) for name in names} for text in (label, base, tuned))
    return Evidence(answer_format=answer_format, labels=labels, tuned={"n8": of_tuned}, base=of_base)


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
        ("dog, sea, sky", "of the gap from the control closed"),
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
    assert all("24 test images" in shown[title][1] for title in (first, "gain in agreement"))


def test_valid_answers_are_shown_beside_the_headline_and_the_requested_number_of_keywords_with_the_metrics() -> None:
    evidence = replace(any_evidence(), answer_format=Keywords(keywords_min=4, keywords_max=9))
    base = {name: answer(None, status="refused", image=name) for name in evidence.labels}
    page = page_of(replace(evidence, base=base))
    figure, about = headlines(page)["valid answers"]

    assert figure == "100 %"
    assert "base: 0.0 %; ceiling: 100 %" in about
    assert re.search(r"answers with the requested number of keywords</th>\s*<td [^>]*class=.number.>0\.0 %</td>", page)


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


def test_scaling_chart_needs_training_sizes(page: str) -> None:
    evidence = any_evidence()
    assert "Score by number of training images" in page
    assert "Score by number of training images" not in page_of(replace(evidence, tuned={"student": evidence.labels}))


def test_charts_that_compare_with_base_need_base(page: str) -> None:
    assert "Image by image" in page
    assert "Image by image" not in page_of(replace(any_evidence(), base=None))


def test_page_of_a_report_without_figures_shows_photos_and_costs() -> None:
    page = render(replace(any_page(None), report=any_report(evaluation=None)), [])

    assert "60 photos, 60 distinct images" in page
    assert "Spent $0.5000." in page
    assert "All metrics" not in page
    assert "So it is." in page


@pytest.mark.parametrize("trained", [False, True])
def test_recommendation_ends_the_first_screen_and_break_even_is_in_the_section_of_costs(trained: bool) -> None:
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


def with_costs(
    *, teacher_usd: float = 0.65, student_usd: float = 0.09, local: bool = False, images_per_month: int | None = None
) -> str:
    """Return the page of a run whose answers cost this much for 1,000 images."""
    run = any_run(images_per_month=images_per_month) if images_per_month else any_run()
    costs = break_even(run, teacher_usd, student_usd, Bounds(low=12, expected=12, high=12))
    serving = {
        name: ServingCost(latency_ms=321, input_tokens=1_100, output_tokens=40, usd_per_1000=0.123)
        for name in ("teacher", "n8")
    }
    evaluation = evaluate(any_evidence())
    evaluation = replace(evaluation, figures=evaluation.figures.model_copy(update={"serving": serving}))
    report = any_report(
        money=Money(by_step=[], break_even_images=None, break_even=costs),
        recommendation=Recommendation(action="stop here", text="Stop | <b>here</b> [now](http://x)."),
        baseline=any_baseline(),
        student_prompt=StudentPrompt(teacher_tokens=300, student_tokens=100, saved_usd_per_1000=0.012),
    )
    return render(replace(any_page(evaluation), report=report, local=local), [])


def first_screen(page: str) -> str:
    return page[page.index('<p class="verdict">') : page.index("<h2>")]


def test_first_screen_has_what_is_saved_against_the_cheapest_tier_and_the_break_even() -> None:
    shown = headlines(first_screen(with_costs()))

    assert list(shown)[-3:] == ["valid answers", "saved per 1,000 images", "images to break even"]
    assert shown["saved per 1,000 images"] == (
        "$0.56",
        "the teacher on the flex tier costs $0.65, the tuned model $0.09",
    )
    figure, about = shown["images to break even"]
    assert figure == "21,429"
    assert about == "only above 3,483 images a month, which pay for the storage of the tuned model ($1.95 a month)"


def test_first_screen_says_that_a_tuned_model_that_costs_more_never_breaks_even() -> None:
    shown = headlines(first_screen(with_costs(teacher_usd=0.05)))

    assert shown["more per 1,000 images"][0] == "$0.04"
    assert shown["breaks even"] == ("never", "an answer of the tuned model costs no less than the teacher&#39;s")


@pytest.mark.parametrize(
    ("images_per_month", "title", "figure", "about"),
    [
        (100_000, "images to break even", "21,429", "about 0.2 months at 100,000 images a month"),
        (1_000, "breaks even", "never", "at 1,000 images a month the savings do not pay for the storage"),
    ],
)
def test_break_even_counts_the_storage_at_the_images_a_month(
    images_per_month: int, title: str, figure: str, about: str
) -> None:
    shown = headlines(first_screen(with_costs(images_per_month=images_per_month)))

    assert shown[title][0] == figure
    assert shown[title][1].startswith(about)


def without_details(page: str) -> str:
    return re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)


def test_page_of_a_local_run_has_no_latency_and_only_one_amount_of_dollars_outside_details() -> None:
    nova = without_details(with_costs())
    local = without_details(with_costs(local=True))

    assert "321 ms" in nova
    assert "Cost and latency per answer" in nova
    assert "321 ms" not in local
    assert "Tokens per answer" in local
    assert len(re.findall(r"\$\d", nova)) > 10
    assert re.findall(r"[^.]*\$\d\S*", local) == [" At the prices of the Nova models this run would have cost $0.5000."]


def test_share_of_a_gap_and_minimum_detectable_gain_follow_the_table_of_scores(page: str) -> None:
    below = headlines(page[page.index("</table>") :])

    assert list(below) == ["of the gap from base closed", "minimum detectable gain"]
    assert not below.keys() & headlines(first_screen(page)).keys()


def summary(page: str) -> str:
    return unescape(page[page.index("readonly hidden>") + len("readonly hidden>") : page.index("</textarea>")]).strip()


def test_summary_is_the_first_screen_as_markdown_without_markup_of_others() -> None:
    blocks = summary(with_costs()).split("\n\n")

    assert blocks[:3] == ["### Big teaches small", "t · s", "So it is."]
    rows = blocks[3].splitlines()
    assert rows[:2] == ["| result | figure | details |", "|---|---|---|"]
    assert "| saved per 1,000 images | **$0.56** |" in blocks[3]
    assert {row.count("|") for row in rows} == {4}
    assert blocks[4] == r"**Next:** Stop \| \<b\>here\</b\> \[now\](http://x)."
    assert "Amazon Nova" not in summary(with_costs())


def test_summary_of_a_local_run_says_that_it_is_no_statement_about_nova() -> None:
    text = summary(with_costs(local=True))

    assert "**These figures say nothing about Amazon Nova:** models on one machine answered." in text
    assert "$" not in text


def test_summary_of_a_run_without_training_has_no_table_of_figures() -> None:
    assert summary(render(any_page(None), [])) == "### Big teaches small\n\nt · s\n\nSo it is."


def test_every_cell_names_its_column_for_phones(page: str) -> None:
    table = page[page.index("Table of scores") : page.index("</table>")]
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', table)
    rows = re.findall(r"<tr.*?</tr>", table[table.index("<tbody>") :], re.DOTALL)

    assert len(heads) == 6
    assert all(re.findall(r'<td data-head="(.*?)"', row) == heads[1:] for row in rows)


def test_page_of_a_report_without_a_recommendation_has_none(page: str) -> None:
    assert "Next:" not in page
    assert "Next:" not in render(replace(any_page(None), report=any_report()), [])


def test_run_on_local_models_says_that_nothing_was_paid() -> None:
    page = render(replace(any_page(None), report=any_report(evaluation=None), local=True), [])

    assert "These figures say nothing about Amazon Nova." in page
    assert "Nothing was paid. At the prices of the Nova models this run would have cost $0.5000." in page
    assert "of the\n  prompt they read only the form of the answer" in page


def test_run_on_the_users_server_does_not_say_that_nothing_was_paid() -> None:
    page = render(
        replace(any_page(None), report=any_report(evaluation=None), local=True, served="Your own server answered."), []
    )

    assert "Your own server answered." in page
    assert "What your own server charges is not counted. At the prices of the Nova models" in page
    assert "Nothing was paid" not in page
    assert "they read only the form" not in page


def test_page_has_no_invisible_characters_and_keeps_joiners_within_words() -> None:
    evidence = any_evidence()
    page = replace(any_page(evaluate(evidence)), title="می\u200cخواهم\u202e\u200b", verdict="\ufeffSo\x07 it is.")
    picture = Picture(image="i0", name="a\u2066b\u200d.jpg", source=None, label=next(iter(evidence.labels.values())))
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


def test_report_says_how_agreement_is_measured_and_what_it_cannot_tell(page: str) -> None:
    captions = page_of(evidence_of(CAPTION, "A brown dog runs.", "A boat.", "A dog runs."))

    assert "Agreement is the Jaccard index (0-1)" in page
    assert "without case, punctuation and plurals." in page
    assert "What this figure cannot tell:" not in page
    assert "Agreement is the ROUGE-L F1 (0-1)" in captions
    assert "<strong>What this figure cannot tell:</strong> ROUGE-L F1 cannot tell whether a caption is true" in captions


def test_column_without_normalisation_needs_a_format_with_one(page: str) -> None:
    assert "not normalised" in page
    assert "not normalised" not in page_of(evidence_of(CLASSES, "people", "boats", "people"))


def test_answers_that_are_right_or_wrong_have_their_numbers_instead_of_a_histogram(page: str) -> None:
    classes = page_of(evidence_of(CLASSES, "people", "boats", "people"))

    assert "6 of 6 are right only after training." in classes
    assert "Scores of the test images" not in classes
    assert "Scores of the test images" in page
    assert "right only after training" not in page
    without_base = replace(evidence_of(CLASSES, "people", "boats", "people"), base=None)
    assert "right only after training" not in page_of(without_base)


def with_hashes(evidence: Evidence, training: str) -> Evidence:
    """Return the evidence with one training image, which looks like every test image, and its label."""
    hashes = dict.fromkeys([*evidence.labels, "t0"], "00ff")
    return replace(evidence, training={"t0": answer(training, image="t0")}, hashes=hashes)


@pytest.mark.parametrize(
    ("copied", "note"),
    [
        ("A dog runs along a beach.", "Copying does as well as the tuned model"),
        ("A brown dog runs along a beach.", "Copying does better than the tuned model"),
        ("Two boats at sea.", None),
    ],
)
def test_page_says_when_copying_the_label_of_the_most_similar_training_image_does_as_well(
    copied: str, note: str | None
) -> None:
    evidence = evidence_of(CAPTION, "A brown dog runs along a beach.", "A boat.", "A dog runs along a beach.")
    page = page_of(with_hashes(evidence, copied))

    assert "nearest" in row_names(page)
    assert "copying the label of the training image that looks most similar" in page
    assert ("Copying does" in page) == (note is not None)
    assert note is None or note in page
    assert "nearest" not in row_names(page_of(evidence))


def test_tables_of_a_format_have_names_for_readers_and_numbers_on_the_right() -> None:
    evaluation = evaluate(any_evidence())
    table = Table(
        title="Fields of n8",
        columns=["field", "type", "n8", "images"],
        rows=[["a & b", "list", 0.12345, 3], ["n8", "string", None, 4], ["none", "string", 12.345, 5]],
        note="A note on n8.",
    )
    figures = evaluation.figures.model_copy(update={"tables": [table, Table(title="Empty", columns=["x"], rows=[])]})
    page = render(any_page(replace(evaluation, figures=figures)), [])
    shown = page[page.index("Fields of tuned on 8") : page.index("A note on tuned on 8.")]

    assert re.findall(r"<t[hd]([^>]*)>(.*?)</t[hd]>", re.sub(r' data-head=".*?"', "", shown)) == [
        (' scope="col"', "field"),
        (' scope="col"', "type"),
        (' scope="col" class="number"', "tuned on 8"),
        (' scope="col" class="number"', "images"),
        (' scope="row"', "a &amp; b"),
        ("", "list"),
        (' class="number"', "0.123"),
        (' class="number"', "3"),
        (' scope="row"', "tuned on 8"),
        ("", "string"),
        (' class="number"', "–"),
        (' class="number"', "4"),
        (' scope="row"', "none"),
        ("", "string"),
        (' class="number"', "12.3"),
        (' class="number"', "5"),
    ]
    assert '<td data-head="x" colspan="1">None.</td>' in page


def test_confusion_matrix_has_its_diagonal_and_its_errors_marked() -> None:
    evidence = evidence_of(CLASSES, "people", "boats", "people", images=4)
    changed: Mapping[str, str] = {"i1": "animals", "i2": "boats"}
    labels = {**evidence.labels, **{name: answer(text, image=name) for name, text in changed.items()}}
    page = page_of(replace(evidence, labels=labels))
    page = re.sub(r' data-head=".*?"', "", page)
    matrix = page[page.index("Table of Confusion matrix of tuned on 8") :]
    rows = re.findall(r'<tr>\s*<th scope="row">(\w+)</th>(.*?)</tr>', matrix[: matrix.index("</table>")], re.DOTALL)

    assert {name: re.findall(r'class="(.*?)">(.*?)<', cells) for name, cells in rows} == {
        "people": [("number equal", "2"), ("number", "0"), ("number", "0")],
        "animals": [("number confused", "1"), ("number", "0"), ("number", "0")],
        "boats": [("number confused", "1"), ("number", "0"), ("number", "0")],
    }


@pytest.mark.parametrize(("columns", "is_dense"), [(10, False), (11, True)])
def test_table_of_many_columns_has_vertical_headings(columns: int, is_dense: bool) -> None:
    evaluation = evaluate(any_evidence())
    table = Table(title="Wide", columns=[f"c{place}" for place in range(columns)], rows=[["x", *[1] * (columns - 1)]])
    figures = evaluation.figures.model_copy(update={"tables": [table]})
    page = render(any_page(replace(evaluation, figures=figures)), [])

    assert ('<table class="dense">' in page) == is_dense


def test_share_of_the_gap_from_the_control_says_what_the_control_answers() -> None:
    _, about = headlines(page_of(any_evidence()))["of the gap from the control closed"]

    assert about.startswith("of the way from always answering with the most common keywords to the teacher")
