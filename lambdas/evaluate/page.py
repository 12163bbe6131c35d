"""The report as one page that needs nothing else: no script, no network, images inlined."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from lambdas.evaluate import charts
from lambdas.shared import families, layout
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run

THUMBNAIL_SIDE = 260


def render(
    run: Run,
    report: dict[str, Any],
    per_image: dict[str, list[Any]],
    gallery: Iterable[dict[str, Any]],
    data: Objects,
) -> str:
    """Return the page; names of photos and answers of models are escaped by the template."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    names = {"base": "base", "ceiling": "ceiling", "floor": "floor", "control": "control"}
    return environment.get_template("report.html.j2").render(
        run=run,
        report=report,
        rows=_rows(report),
        name=lambda answerer: names.get(answerer, f"tuned on {answerer.removeprefix('n')}"),
        teacher=families.model(run.teacher.model).label,
        student=families.model(run.student).label,
        local=run.student.startswith("local."),
        distributions=Markup(charts.distributions(per_image)) if per_image else None,
        losses=Markup(charts.losses(report["training_loss"])) if report["models"] else None,
        gallery=[_picture(run, item, data) for item in gallery],
    )


def _rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    means = report["jaccard"]
    if means is None:
        return []
    tuned = [
        {"name": f"tuned on {size}", "what": "the student after training", **value}
        for size, value in means["tuned"].items()
    ]
    return [
        {"name": "floor", "what": "tuned answers against other images' labels", **means["floor"]},
        {"name": "base", "what": "the student before training", **means["base"]},
        {"name": "control", "what": "the commonest keywords for every image", **means["control"]},
        *tuned,
        {"name": "ceiling", "what": "the teacher against itself", **means["ceiling"]},
    ]


def _picture(run: Run, item: dict[str, Any], data: Objects) -> dict[str, Any]:
    with Image.open(io.BytesIO(data.read(layout.image(run.side, item["image"])))) as image:
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        output = io.BytesIO()
        image.save(output, "JPEG", quality=70)
    source = f"data:image/jpeg;base64,{base64.b64encode(output.getvalue()).decode()}"
    return {**item, "source": source}
