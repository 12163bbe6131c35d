"""The report as one page that needs nothing else: no network, images and charts inlined, one small script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from distillation.answers.formats import FORMATS
from distillation.evaluation import charts
from distillation.evaluation.evaluation import Evaluation
from distillation.evaluation.parsed_answers import ParsedAnswer, parse_answer, singular
from distillation.records import AnswerLine

THUMBNAIL_SIDE = 280
"""Longest side in pixels: 100 of them stay under 2 MB."""
_LADDER = {
    "floor": "tuned answers against other images' labels: chance",
    "base": "the student before training",
    "control": "the commonest keywords, said of every image",
    "ceiling": "the teacher against itself",
}


@dataclass(frozen=True)
class Page:
    """What the page tells. ``local``: small local models stood in for Amazon Nova."""

    title: str
    subtitle: str
    teacher: str
    student: str
    report: dict[str, Any]
    evaluation: Evaluation | None
    local: bool = False
    ceiling_temperature: float | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    not_verified: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """An image for the gallery; ``jpeg`` None where only its name is known."""

    image: str
    name: str
    jpeg: bytes | None
    label: AnswerLine


def render(page: Page, pictures: Iterable[Picture]) -> str:
    """Return the page; names of photos and answers of models are escaped by the template."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    best = _best(page)
    return environment.get_template("report.html.j2").render(
        page=page,
        report=page.report,
        best=best,
        name=charts.display_name,
        ladder=_ladder(page.report),
        charts=_charts(page, best),
        metrics=_metrics(page.report),
        cards=[_card(picture, page.evaluation, best) for picture in pictures],
    )


def _best(page: Page) -> str | None:
    """The model that the page looks at closely: the best tuned one."""
    if page.evaluation is None:
        return None
    tuned = page.report["jaccard"]["tuned"]
    size = max(tuned, key=lambda size: tuned[size]["mean"])
    return f"n{size}" if size.isdigit() else size


def _ladder(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of scores, lowest first."""
    means = report["jaccard"]
    if not means:
        return []
    rows = [{"name": name, "what": what, **means[name]} for name, what in _LADDER.items() if name in means]
    for size, value in means["tuned"].items():
        tuned = f"tuned on {size}" if size.isdigit() else size
        rows.append({"name": tuned, "what": "the student after training", **value})
    written = report.get("jaccard_as_written", {})
    by_name = {"base": written.get("base"), "ceiling": written.get("ceiling")}
    by_name |= {f"tuned on {size}" if size.isdigit() else size: v for size, v in written.get("tuned", {}).items()}
    return [{**row, "written": by_name.get(row["name"])} for row in sorted(rows, key=lambda row: row["mean"])]


def _charts(page: Page, best: str | None) -> list[dict[str, Any]]:
    """The charts that there is something to draw of, each with what it says for those who cannot see it."""
    found: list[tuple[str, str, str | None]] = []
    if page.evaluation and best:
        scores = page.evaluation.per_image
        tuned = {name: values for name, values in scores.items() if name not in ("base", "ceiling", "floor", "control")}
        found.append(
            (
                "Scores of the test images",
                "How many test images reach each Jaccard index; dashed lines are the means in the table above.",
                charts.distribution_chart(scores.get("base"), tuned),
            )
        )
        if "base" in scores:
            gained = sum(after > before for before, after in zip(scores["base"], scores[best], strict=True))
            text = f"Each point is an image; {gained} of {len(scores[best])} lie above the line, where training helped."
            found.append(("Image by image", text, charts.change_chart(scores["base"], scores[best], best)))
        if all(size.isdigit() for size in page.report["jaccard"]["tuned"]):
            curve = page.report["curve"]
            fitted = "The band is the fit's 95 % interval." if curve else "A curve is fitted to three sizes or more."
            svg = charts.scaling_chart(page.report["jaccard"], curve)
            found.append(("More images, better student?", f"Bars are 95 % intervals. {fitted}", svg))
    if page.report.get("training_loss"):
        svg = charts.loss_chart(page.report["training_loss"], page.report.get("validation_loss", {}))
        found.append(("Loss while training", "Lower is closer to the teacher's labels.", svg))
    return [{"title": title, "text": text, "svg": Markup(svg)} for title, text, svg in found if svg]


def _metrics(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of all metrics: how each is called and written."""
    if "metrics" not in report:
        return []
    rows = {
        "jaccard": ("Jaccard index", "%.3f", 1),
        "jaccard_as_written": ("Jaccard index, keywords as written", "%.3f", 1),
        "soft_jaccard": ("Jaccard index, near spellings counted", "%.3f", 1),
        "f1": ("F1", "%.3f", 1),
        "precision": ("precision", "%.3f", 1),
        "recall": ("recall", "%.3f", 1),
        "count_drift": ("keywords more than the teacher", "%+.1f", 1),
        "valid": ("answers in the right format", "%.0f %%", 100),
    }
    return [{"key": key, "label": label, "form": form, "scale": scale} for key, (label, form, scale) in rows.items()]


def _card(picture: Picture, evaluation: Evaluation | None, best: str | None) -> dict[str, Any]:
    shown = _spelling(picture.label)
    card: dict[str, Any] = {
        "name": picture.name,
        "source": _thumbnail(picture.jpeg) if picture.jpeg else None,
        "disagreement": picture.label.disagreement,
        "reason": picture.label.reason,
        "label": list(shown.values()),
        "answers": [],
        "scores": {},
    }
    if evaluation and best:
        place = evaluation.images.index(picture.image)
        label = parse_answer(picture.label)
        names = [best, *(["base"] if "base" in evaluation.answers else [])]
        card["scores"] = {name: evaluation.per_image[name][place] for name in names}
        card["answers"] = [
            _answer(name, parse_answer(evaluation.answers[name].get(picture.image)), label) for name in names
        ]
    return card


def _answer(name: str, reading: ParsedAnswer, label: ParsedAnswer) -> dict[str, Any]:
    return {
        "name": name,
        "shared": sorted(reading.keywords & label.keywords),
        "missed": sorted(label.keywords - reading.keywords),
        "extra": sorted(reading.keywords - label.keywords),
    }


def _spelling(label: AnswerLine) -> dict[str, str]:
    return {singular(word): word for word in FORMATS[label.format].items(label.text or "")}


def _thumbnail(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        output = io.BytesIO()
        image.convert("RGB").save(output, "JPEG", quality=66, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(output.getvalue()).decode()}"
