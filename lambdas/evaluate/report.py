"""Gather what a run left, score it, and write report.json, scores.csv, report.html and what is kept."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lambdas.evaluate import scores
from lambdas.evaluate.page import render
from lambdas.shared import families, layout, ledger
from lambdas.shared.keywords import keywords
from lambdas.shared.objects import Objects
from lambdas.shared.records import AnswerLine, InventoryLine, Run, TrainedModel

Answers = dict[str, dict[str, AnswerLine]]
"""By answerer, then by image."""


def write_report(run: Run, models: list[TrainedModel], data: Objects) -> dict[str, str]:
    """Write all files of the report; return its verdict and the key of its page."""
    labels = _lines(data, run, "label")
    answers = _by_answerer([*labels, *_lines(data, run, "predict")])
    evaluation = _evaluate(run, models, answers, data)
    report = _facts(run, models, labels, evaluation, data)
    _write_predictions(run, answers, data)
    data.write_json(layout.ledger(run.run), report["ledger"])
    data.write_json(f"runs/{run.run}/manifest.json", _manifest(run, report, data))
    data.write_json(layout.report(run.run, "report.json"), report)
    table = _table(evaluation["per_image"])
    data.write(layout.report(run.run, "scores.csv"), table, "text/csv; charset=utf-8")
    page = render(run, report, evaluation["per_image"], _gallery(run, answers, data), data)
    key = layout.report(run.run, "report.html")
    data.write(key, page.encode(), "text/html; charset=utf-8")
    return {"verdict": report["verdict"], "report": key}


def _lines(data: Objects, run: Run, step: str) -> list[AnswerLine]:
    parts = data.read_parts(layout.parts(run.run, step))
    return [AnswerLine.model_validate(line) for line in parts]


def _by_answerer(lines: list[AnswerLine]) -> Answers:
    answers: Answers = {}
    for line in lines:
        answers.setdefault(line.answerer, {})[line.image] = line
    return answers


def _sets(lines: dict[str, AnswerLine]) -> dict[str, scores.Keywords]:
    """Read answers as keywords; one that was refused counts for what it said, or for nothing."""
    return {image: frozenset(keywords(line.text or "")) for image, line in lines.items()}


def _evaluate(run: Run, models: list[TrainedModel], answers: Answers, data: Objects) -> dict[str, Any]:
    """Return Jaccard means, scores per image, and the gate; empty when nothing was predicted."""
    if "base" not in answers:
        return {"jaccard": None, "per_image": {}, "gate": None}
    teacher = {image: line for image, line in answers["teacher"].items() if line.status == "ok"}
    test = [line["image"] for line in data.read_lines(layout.split(run.run, "test"))]
    labels = _sets({image: teacher[image] for image in test if image in teacher})
    train = [line["image"] for line in data.read_lines(layout.split(run.run, "train"))]
    training = list(_sets({image: teacher[image] for image in train if image in teacher}).values())
    commonest = scores.control(training)
    tuned = [f"n{model.size}" for model in models if model.status == "Active"]
    per_image = {name: scores.agreement(_sets(answers[name]), labels) for name in ("base", *tuned, "ceiling")}
    best = max(tuned, key=lambda name: scores.mean(per_image[name]).mean)
    per_image["floor"] = scores.floor(_sets(answers[best]), labels)
    per_image["control"] = scores.agreement(dict.fromkeys(labels, commonest), labels)
    means = {name: scores.mean(values) for name, values in per_image.items()}
    return {
        "jaccard": {
            "base": means["base"].as_json(),
            "tuned": {name.removeprefix("n"): means[name].as_json() for name in tuned},
            **{name: means[name].as_json() for name in ("ceiling", "floor", "control")},
        },
        "per_image": {"image": list(labels), **per_image},
        "gate": _gate(run, models, best, per_image, means),
    }


def _gate(
    run: Run,
    models: list[TrainedModel],
    best: str,
    per_image: dict[str, list[float]],
    means: dict[str, scores.Mean],
) -> dict[str, Any]:
    """Promote the best model only if its gain is sure and more than the commonest keywords give."""
    gains = [tuned - base for tuned, base in zip(per_image[best], per_image["base"], strict=True)]
    gain = scores.mean(gains)
    passed = gain.low > run.request.gate_margin and means[best].low > means["control"].mean
    name = next(model.model for model in models if f"n{model.size}" == best)
    return {
        "best": best,
        "gain": gain.as_json(),
        "passed": passed,
        "promoted": name if passed else None,
    }


def _facts(
    run: Run,
    models: list[TrainedModel],
    labels: list[AnswerLine],
    evaluation: dict[str, Any],
    data: Objects,
) -> dict[str, Any]:
    """Return what report.json holds."""
    inventory = [InventoryLine.model_validate(line) for line in data.read_lines(layout.inventory(run.run))]
    photos = [line for line in inventory if line.status != "ignored"]
    photo_of = {line.image: line.photo for line in reversed(photos) if line.image}
    rejected = [{"photo": line.photo, "reason": line.reason} for line in photos if line.status == "refused"]
    unlabelled = [{"photo": photo_of[line.image], "reason": line.reason} for line in labels if line.status == "refused"]
    in_sets = Counter(line.set for line in photos if line.set)
    spent = ledger.summary(data, run.run)
    set_aside = len(rejected) + len(unlabelled)
    return {
        "run": run.run,
        "status": f"complete with {set_aside} set aside" if set_aside else "complete",
        "until": run.request.until,
        "verdict": _verdict(run, evaluation),
        "photos": len(photos),
        "images": len({line.image for line in photos if line.image}),
        "rejected": rejected,
        "labels_set_aside": unlabelled,
        "set_aside": set_aside,
        "train": in_sets["train"],
        "validation": in_sets["validation"],
        "test": in_sets["test"],
        "labelled": sum(line.status == "ok" for line in labels),
        "teacher": run.teacher.model,
        "student": run.student,
        "jaccard": evaluation["jaccard"],
        "gate": evaluation["gate"] or {},
        "models": [
            {
                "size": model.size,
                "status": model.status,
                "name": model.model,
                "deployment": model.deployment,
                "reason": model.reason,
            }
            for model in models
        ],
        "training_loss": {str(model.size): _losses(run, model.size, data) for model in models},
        "estimate": data.read_json(layout.report(run.run, "estimate.json")),
        "ledger": spent,
        "usd": spent["usd"],
        "sizes_asked": run.request.train_sizes,
    }


def _verdict(run: Run, evaluation: dict[str, Any]) -> str:
    gate, means = evaluation["gate"], evaluation["jaccard"]
    if gate is None:
        return f"Stopped after {run.request.until}, as asked; nothing was trained."
    size = gate["best"].removeprefix("n")
    tuned, base = means["tuned"][size], means["base"]
    low, high = gate["gain"]["ci95"]
    change = (
        f"Trained on {size} images, the student agrees with the teacher at a Jaccard index of "
        f"{tuned['mean']:.2f}; before training it was {base['mean']:.2f} "
        f"(difference {gate['gain']['mean']:+.2f}, 95 % interval {low:+.2f} to {high:+.2f})."
    )
    if gate["passed"]:
        return f"{change} That is a sure gain, and more than the commonest keywords give: promoted."
    return f"{change} That is not a sure gain over base and the commonest keywords: not promoted."


def _losses(run: Run, size: int, data: Objects) -> list[dict[str, float]]:
    """Read the job's step-wise training loss, by column name; none where Bedrock wrote no file."""
    found: dict[str, str] = {key.rsplit("/", 1)[-1]: key for key in data.keys(layout.training(run.run, size))}
    if "step_wise_training_metrics.csv" not in found:
        return []
    text = data.read(found["step_wise_training_metrics.csv"]).decode()
    return [
        {"step": float(row["step_number"]), "loss": float(row["training_loss"])}
        for row in csv.DictReader(io.StringIO(text))
    ]


def _manifest(run: Run, report: dict[str, Any], data: Objects) -> dict[str, Any]:
    """Return what it takes to say how a model came about."""
    datasets = {key: hashlib.sha256(data.read(key)).hexdigest() for key in data.keys(f"runs/{run.run}/dataset/")}
    student = families.model(run.student)
    return {
        "run": json.loads(run.model_dump_json()),
        "datasets_sha256": datasets,
        "hyperparameters": student.family.resolve_hyperparameters(run.request.hyperparameters),
        "models": report["models"],
        "jaccard": report["jaccard"],
        "prices": {id: families.model(id).price.__dict__ for id in (run.teacher.model, run.student)},
    }


def _write_predictions(run: Run, answers: Answers, data: Objects) -> None:
    for name, lines in answers.items():
        if name != "teacher":
            records = (line.model_dump(exclude_none=True) for line in lines.values())
            data.write_lines(layout.predictions(run.run, name), records)


def _table(per_image: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(per_image)
    writer.writerows(zip(*per_image.values(), strict=True))
    return text.getvalue().encode()


def _gallery(run: Run, answers: Answers, data: Objects) -> Iterator[dict[str, Any]]:
    """Yield the images that the page shows: those of the test set, or, unless trained, some labelled."""
    teacher = answers.get("teacher", {})
    photo_of = {line["image"]: line["photo"] for line in data.read_lines(layout.split(run.run, "to-label"))}
    shown = answers.get("base", teacher)
    for image in list(shown)[:100]:
        yield {
            "image": image,
            "photo": photo_of[image].removeprefix(run.collection),
            "answers": {name: keywords(lines[image].text or "") for name, lines in answers.items() if image in lines},
        }
