"""Render the report as one self-contained HTML page: images and charts inline, one small script, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from distillation.answers.formats.base import Format, Metric
from distillation.costs.lines import format_cents
from distillation.documents import REFERENCES, BreakEven, EvaluationFigures, Interval, Manifest, Report, Table
from distillation.evaluation import charts
from distillation.evaluation.evaluation import Evaluation
from distillation.evaluation.gallery import FIRST_CARDS, Picture, make_card, make_filters
from distillation.models.service_tier import cheapest_tier
from distillation.plain_text import clean
from distillation.records import size_of
from distillation.statistical_power import MINIMUM_VALIDATION_IMAGES

_DESCRIPTIONS = {
    "floor": "tuned answers compared with other images' labels (chance)",
    "base": "the student before training",
    "ceiling": "the teacher compared with itself",
}
_HORIZONTAL_HEADINGS = 10
"""Largest number of columns with horizontal headings in a table of an answer format."""
_VALID = Metric("valid answers", "%.1f %%", 100)


@dataclass(frozen=True)
class Page:
    """Content of the page."""

    title: str
    subtitle: str
    teacher: str
    """Display name of the teacher."""
    student: str
    """Display name of the student."""
    verdict: str
    answer_format: Format
    """Format of the answers."""
    evaluation: Evaluation | None
    """Evaluation; None if nothing was trained."""
    report: Report | None = None
    """Report of a run; None for two files of answers."""
    local: bool = False
    """Whether small local models answered instead of Amazon Nova."""
    served: str | None = None
    """Note on the models of the user's own server that answered; None without one."""
    ceiling_temperature: float | None = None
    """Temperature of the teacher's second answers."""
    manifest: Manifest | None = None
    not_verified: tuple[str, ...] = ()
    """Sentences about what the report does not verify."""


class Headline(NamedTuple):
    """One figure of the headline."""

    figure: str
    title: str
    about: str


class ScoreRow(NamedTuple):
    """One row of the table of scores."""

    name: str
    description: str
    score: Interval
    unnormalised: Interval | None


class TableCell(NamedTuple):
    """One cell of a format's table."""

    text: str
    kind: str
    """CSS classes, such as ``number``."""


class FormatTable(NamedTuple):
    """A table of the answer format, as the page shows it."""

    title: str
    heads: list[tuple[str, str]]
    """Heading of each column with its CSS classes."""
    rows: list[list[TableCell]]
    note: str | None
    is_dense: bool
    """Whether there are so many columns that their headings are vertical."""


class Chart(NamedTuple):
    """One chart with its title and a text for those who cannot see it."""

    title: str
    text: str
    svg: Markup


@cache
def _environment() -> Environment:
    """Return the environment of the templates, which keeps those that it has compiled."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["with_headings"] = _with_headings
    return environment


def _with_headings(rows: Markup, heads: list[tuple[str, str]]) -> Markup:
    """Return the rows of a table with the column's heading in each cell, which a phone shows beside the value."""
    column = -1

    def add_heading(tag: re.Match[str]) -> str:
        nonlocal column
        column = -1 if tag[1] == "tr" else column + 1
        head = heads[column][0] if column >= 0 else None
        return tag[0] if tag[1] != "td" else Markup('<td data-head="{}"').format(head)

    # Text in the rows is escaped, so every tag is the template's own.
    return Markup(re.sub(r"<(tr|th|td)\b", add_heading, rows))


def render(page: Page, pictures: Iterable[Picture]) -> str:
    """Return the page as HTML without invisible characters; the template escapes photo names and model answers."""
    environment = _environment()
    figures = page.evaluation.figures if page.evaluation else None
    best = figures.best if figures else None
    first, further = _headlines(page, figures) if figures else ([], [])
    cards = [make_card(picture, page.answer_format, page.evaluation) for picture in pictures]
    html = environment.get_template("report.html.j2").render(
        page=page,
        heading=_heading(page),
        report=page.report,
        figures=figures,
        best=best,
        display_name=charts.display_name,
        headlines=first,
        further_headlines=further,
        summary=_summary(page, first),
        notes=_notes(figures, page.answer_format) if figures else [],
        score_rows=_score_rows(figures, page.answer_format),
        charts=_charts(page, figures, best),
        metrics=[
            {"key": key, "label": label, "form": form, "scale": scale}
            for key, (label, form, scale) in {**page.answer_format.metrics, "valid": _VALID}.items()
            if figures and key in figures.metrics[figures.best]
        ],
        cards=cards,
        filters=make_filters(cards),
        first_cards=FIRST_CARDS,
        gallery_images=_gallery_images(page),
        tables=[_format_table(table, figures) for table in figures.tables] if figures else [],
        promoted=page.report.promoted if page.report else None,
    )
    return clean(html)


def _format_table(table: Table, figures: EvaluationFigures) -> FormatTable:
    """Return a table with the names of models for readers, and columns of numbers aligned right.

    The diagonal of a confusion matrix is marked, and so are its errors.
    """
    numbers = [all(not isinstance(row[place], str) for row in table.rows) for place in range(len(table.columns))]
    kinds = ["number" if place and is_number else "" for place, is_number in enumerate(numbers)]
    names = [row[0] for row in table.rows]
    is_matrix = len(names) > 1 and table.columns[1 : len(names) + 1] == names
    rows = [
        [
            TableCell(_shown(value, figures), f"{kind} {_match(line, place) if is_matrix and value else ''}".strip())
            for place, (value, kind) in enumerate(zip(row, kinds, strict=True), -1)
        ]
        for line, row in enumerate(table.rows)
    ]
    heads = [(_shown(head, figures), kind) for head, kind in zip(table.columns, kinds, strict=True)]
    note = table.note and _with_name(table.note, figures)
    return FormatTable(_with_name(table.title, figures), heads, rows, note, is_dense=len(heads) > _HORIZONTAL_HEADINGS)


def _match(line: int, place: int) -> str:
    """Return the mark of a cell of a confusion matrix, by its row and column; column -1 has the names of the rows."""
    if place < 0:
        return ""
    return "equal" if place == line else "confused"


def _with_name(text: str, figures: EvaluationFigures) -> str:
    """Return a text with the name of the best model for readers."""
    return re.sub(rf"\b{re.escape(figures.best)}\b", charts.display_name(figures.best), text)


def _shown(value: float | str | None, figures: EvaluationFigures) -> str:
    """Return a cell as text: a model's name for readers, and a number with at most three decimals."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"
    return charts.display_name(value) if value in figures.metrics else str(value)


def _headlines(page: Page, figures: EvaluationFigures) -> tuple[list[Headline], list[Headline]]:
    """Return the figures of the first screen, and those that follow below it.

    The first screen has the smaller of the two shares of a gap, because it is the one to rely on.
    """
    answer_format = page.answer_format
    shares = _gap_shares(figures, answer_format)
    first = shares[:1]
    if gate := figures.gate:
        sizes = f" for {len(figures.tests)} sizes" if len(figures.tests) > 1 else ""
        corrected = f", corrected{sizes}" if sizes and not _chosen_on_validation(figures) else ""
        p = "" if gate.p is None else f"; p = {gate.p:.4f} (permutation test){corrected}"
        about = f"95 % CI {gate.gain.low:+.2f} to {gate.gain.high:+.2f}{p}; n = {figures.test_images} test images"
        first.append(Headline(f"{gate.gain.mean:+.2f}", "gain in agreement", about))
    first.append(_validity(figures, answer_format))
    if not page.local and page.report and page.report.money.break_even:
        first += _savings(page.report, page.report.money.break_even)
    about = f"with {figures.test_images} test images, at 80 % power"
    return first, [*shares[1:], Headline(f"{figures.detectable:.2f}", "minimum detectable gain", about)]


def _gap_shares(figures: EvaluationFigures, answer_format: Format) -> list[Headline]:
    """Return the shares of the gaps that were closed, the smaller one first."""
    shares = [
        (share, start, unnormalised)
        for share, start, unnormalised in (
            (figures.headlines.gap_closed, "base", figures.headlines.gap_closed_unnormalised),
            (figures.headlines.beyond_control, "the control", None),
        )
        if share
    ]
    shares.sort(key=lambda item: item[0].mean)
    names = {"base": "base", "the control": f"always answering with {answer_format.control_name}"}
    return [
        Headline(
            _percent(share.mean),
            f"of the gap from {start} closed",
            f"of the way from {names[start]} to the teacher's agreement with itself; "
            f"n = {figures.test_images} test images; 95 % CI {_percent(share.low)} to {_percent(share.high)}"
            + (f"; {_percent(unnormalised.mean)} without normalisation" if unnormalised else ""),
        )
        for share, start, unnormalised in shares
    ]


def _savings(report: Report, costs: BreakEven) -> list[Headline]:
    """Return what the tuned model saves against the teacher's cheapest tier, and after how many images."""
    tier = " on the flex tier" if cheapest_tier(report.teacher) == "flex" else ""
    saved = costs.teacher_usd_per_1000 - costs.student_usd_per_1000
    prices = (
        f"the teacher{tier} costs {format_cents(costs.teacher_usd_per_1000)}, the tuned model "
        f"{format_cents(costs.student_usd_per_1000)}"
    )
    title = "saved per 1,000 images" if saved > 0 else "more per 1,000 images"
    return [Headline(format_cents(abs(saved)), title, prices), _break_even(costs)]


def _break_even(costs: BreakEven) -> Headline:
    storage = f"storage of the tuned model ({format_cents(costs.storage_usd_per_month)} a month)"
    if costs.images is None:
        return Headline("never", "breaks even", "an answer of the tuned model costs no less than the teacher's")
    images = f"{costs.images.expected:,.0f}"
    if costs.images_per_month is None:
        about = f"only above {costs.storage_images_per_month:,} images a month, which pay for the {storage}"
        return Headline(images, "images to break even", about)
    at_volume = f"at {costs.images_per_month:,} images a month"
    if costs.months is None:
        return Headline("never", "breaks even", f"{at_volume} the savings do not pay for the {storage}")
    about = f"about {max(0.1, costs.months.expected):,.1f} months {at_volume}, with the {storage}"
    return Headline(images, "images to break even", about)


def _summary(page: Page, headlines: list[Headline]) -> str:
    """Return the first screen as Markdown, to paste into a message or an issue."""
    blocks = [
        f"### {_markdown(_heading(page))}",
        _markdown(f"{page.title} · {page.subtitle}"),
        _markdown(page.verdict),
    ]
    if page.local:
        blocks.append("**These figures say nothing about Amazon Nova:** models on one machine answered.")
    if headlines:
        rows = [f"| {_markdown(item.title)} | **{item.figure}** | {_markdown(item.about)} |" for item in headlines]
        blocks.append("\n".join(["| result | figure | details |", "|---|---|---|", *rows]))
    if page.report and page.report.recommendation:
        blocks.append(f"**Next:** {_markdown(page.report.recommendation.text)}")
    return "\n\n".join(blocks) + "\n"


def _markdown(text: str) -> str:
    """Return a text on one line with the characters escaped that would be markup, such as links and pictures."""
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", " ".join(text.split()))


def _heading(page: Page) -> str:
    """Return the heading of the page."""
    return f"{page.teacher[:1].upper()}{page.teacher[1:]} teaches {page.student}"


def _validity(figures: EvaluationFigures, answer_format: Format) -> Headline:
    best = figures.metrics[figures.best]
    about = [f"complete, no refusal, and {answer_format.noun}"]
    about += [
        f"{name}: {_share(figures.metrics[name]['valid'].mean)}"
        for name in ("base", "ceiling")
        if name in figures.metrics
    ]
    return Headline(_share(best["valid"].mean), "valid answers", "; ".join(about))


def _notes(figures: EvaluationFigures, answer_format: Format) -> list[str]:
    """Return why no share of a gap is shown, how the size was chosen, and why interval and test disagree."""
    notes = []
    shares = {"base": figures.headlines.gap_closed, answer_format.control_name: figures.headlines.beyond_control}
    if figures.agreement.base is None:
        del shares["base"]
    missing = [start for start, share in shares.items() if share is None]
    if missing and figures.agreement.ceiling:
        notes.append(
            f"The teacher's agreement with itself is not significantly above {' and '.join(missing)}, so no share of "
            "that gap is shown."
        )
    if figures.ceiling_images is not None and figures.ceiling_images < figures.test_images:
        notes.append(
            f"The ceiling and the shares of a gap are those of {figures.ceiling_images} of the {figures.test_images} "
            "test images, which the teacher was asked about a second time. All other scores are those of all test "
            "images."
        )
    if choice := figures.size_choice:
        sizes = len(choice.agreement)
        notes.append(
            f"The best of {sizes} sizes was chosen on {choice.images} validation images. The test images serve for "
            "one comparison, so its p value needs no correction."
            if _chosen_on_validation(figures)
            else f"The best of {sizes} sizes was chosen on the {choice.images} test images themselves. The p values of "
            f"its gains over base and control are corrected for {sizes} sizes (Holm 1979); scores and intervals are "
            f"not, so they may be slightly too high. With {MINIMUM_VALIDATION_IMAGES} validation images the size is "
            "chosen on those."
        )
    if figures.gate and figures.gate.disagreement:
        notes.append(figures.gate.disagreement)
    if copying := _copying_note(figures):
        notes.append(copying)
    return notes


def _copying_note(figures: EvaluationFigures) -> str | None:
    """Return a note that copying a label does as well as the tuned model; None if the model is better."""
    gain, nearest = figures.over_nearest, figures.agreement.nearest
    if gain is None or nearest is None or gain.low > 0:
        return None
    comparison = "better than" if gain.high < 0 else "as well as"
    return (
        f"Copying does {comparison} the tuned model: the label of the training image that looks most similar has an "
        f"agreement of {nearest.mean:.2f} with the teacher's (tuned model {gain.mean:+.2f}, 95 % CI {gain.low:+.2f} to "
        f"{gain.high:+.2f}). For photos like these a search for the most similar image may replace the model."
    )


def _chosen_on_validation(figures: EvaluationFigures) -> bool:
    return figures.size_choice is not None and figures.size_choice.set == "validation"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _share(share: float) -> str:
    """Return a share in per cent; 100 % only if it is exact."""
    return "100 %" if share == 1 else f"{min(99.9, 100 * share):.1f} %"


def _score_rows(figures: EvaluationFigures | None, answer_format: Format) -> list[ScoreRow]:
    """Return the rows of the table of scores, lowest score first."""
    if figures is None:
        return []
    scores, metrics = figures.agreement, figures.metrics
    descriptions = {
        **_DESCRIPTIONS,
        "control": f"always answering with {answer_format.control_name}",
        "nearest": "copying the label of the training image that looks most similar",
    }
    rows = [
        ScoreRow(
            name,
            description + _images_of(name, figures),
            scores.by_name[name],
            metrics.get(name, {}).get("unnormalised"),
        )
        for name, description in descriptions.items()
        if name in scores.by_name
    ]
    rows += [
        ScoreRow(charts.display_name(name), "the student after training", score, metrics[name].get("unnormalised"))
        for name, score in scores.tuned.items()
    ]
    return sorted(rows, key=lambda row: row.score.mean)


def _images_of(name: str, figures: EvaluationFigures) -> str:
    """Return on how many images the ceiling was measured, if these are not all test images."""
    images = figures.ceiling_images if name == "ceiling" else None
    return f" on {images} images" if images is not None and images < figures.test_images else ""


def _charts(page: Page, figures: EvaluationFigures | None, best: str | None) -> list[Chart]:
    """Return the charts that there is data for."""
    drawn: list[tuple[str, str, str | None]] = []
    if page.evaluation and figures and best:
        drawn += _image_charts(page.evaluation.per_image, best)
        if all(size_of(name) is not None for name in figures.agreement.tuned):
            fit = "The band is the 95 % CI of the fit." if figures.curve else "A curve needs three sizes or more."
            svg = charts.scaling_chart(figures.agreement, figures.curve)
            drawn.append(("Score by number of training images", f"Bars are 95 % CIs. {fit}", svg))
    if page.report and page.report.training_loss:
        svg = charts.loss_chart(page.report.training_loss, page.report.validation_loss)
        drawn.append(("Loss during training", "A lower loss is closer to the teacher's labels.", svg))
    return [Chart(title, text, Markup(svg)) for title, text, svg in drawn if svg]


def _image_charts(scores: dict[str, list[float]], best: str) -> list[tuple[str, str, str | None]]:
    """Return title, text and chart of the scores by image; of answers that are right or wrong, their numbers."""
    base, after = scores.get("base"), scores[best]
    tuned = {name: values for name, values in scores.items() if name not in ("base", "ceiling", *REFERENCES)}
    gained = sum(score > before for before, score in zip(base, after, strict=True)) if base else 0
    if {0.0, 1.0}.issuperset([*(base or ()), *after]):
        text = f"Test images by outcome. {gained} of {len(after)} are right only after training."
        return [("Image by image", text, charts.outcome_chart(base, after, best))] if base else []
    drawn: list[tuple[str, str, str | None]] = [
        (
            "Scores of the test images",
            "Number of test images by agreement. Dashed lines are the means of the table above.",
            charts.distribution_chart(base, tuned),
        )
    ]
    if base:
        text = f"One point for each image. {gained} of {len(after)} are above the line: training helped."
        drawn.append(("Image by image", text, charts.change_chart(base, after, best)))
    return drawn


def _gallery_images(page: Page) -> int:
    """Return the number of images that the gallery is taken from, which may be more than it shows."""
    if page.evaluation:
        return len(page.evaluation.images)
    return page.report.labelled + len(page.report.labels_set_aside) if page.report else 0
