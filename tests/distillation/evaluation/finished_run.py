"""A run in memory after PredictTestImages: what Evaluate reads."""

from __future__ import annotations

import io
from itertools import repeat
from typing import Any

from PIL import Image

from distillation import keys, ledger
from distillation.photos.rounds import has_baseline
from distillation.records import AnswerLine, InventoryLine, LedgerPart, Run, SetName, SplitLine, TrainedModel, Usage
from distillation.storage import Bucket
from tests.support.builders import any_baseline, any_estimate, any_split_facts, write_sets
from tests.support.fakes import bucket

TRAIN, TEST = 12, 20
IMAGES = [f"{number:064x}" for number in range(TRAIN + TEST)]
LAST_ROUND = 1
"""Number of the round that trained; the round before it is the baseline round."""
MODELS = [
    TrainedModel(size=12, status="Active", model_name="holiday-1-n12-a1", model_arn="arn:m", deployment_arn="arn:d"),
    TrainedModel(size=24, status="Failed", reason="AccessDenied: no"),
]


def label_text(number: int) -> str:
    """Return the teacher's answer about an image."""
    return f"cat, sofa, thing {number}, colour {number}"


def answer_line(number: int, answerer: str, text: str | None, **fields: Any) -> AnswerLine:
    """Return an answer about an image with 1,000 input tokens and 50 output tokens."""
    default: dict[str, Any] = {"status": "ok", "usage": Usage(input_tokens=1000, output_tokens=50), "latency_ms": 400}
    return AnswerLine(image=IMAGES[number], answerer=answerer, text=text, **default | fields)


def finished_run(run: Run) -> Bucket:
    """Return the Data bucket of a run that trained on 12 of 32 images and refused one photo and one label.

    Without a baseline the run has a single round, number 0.
    """
    data = bucket()
    sets: list[SetName] = [*repeat("train", TRAIN), *repeat("test", TEST)]
    inventory = [
        InventoryLine.model_validate(
            {"photo": f"holiday/{number}.jpg", "status": "ok", "image": image, "width": 60, "height": 40, "set": name}
            | {"labelled_by": "teacher"}
        )
        for number, (image, name) in enumerate(zip(IMAGES, sets, strict=True))
    ]
    inventory.append(InventoryLine(photo="holiday/twin.jpg", status="duplicate", image=IMAGES[0]))
    inventory.append(InventoryLine(photo="holiday/broken.jpg", status="refused", reason="not an image"))
    inventory.append(InventoryLine(photo="holiday/notes.txt", status="ignored"))
    _write_lines(data, keys.inventory_key(run.name), inventory)
    data.write_lines(keys.listing_key(run.name), [{"photo": line.photo} for line in inventory[:-1]])
    lines = [
        SplitLine(image=image, photo=f"holiday/{number}.jpg", group=image, width=60, height=40, set=name)
        for number, (image, name) in enumerate(zip(IMAGES, sets, strict=True))
    ]
    write_sets(run, {"train": lines[:TRAIN], "validation": [], "test": lines[TRAIN:]}, data)
    data.write_document(keys.split_facts_key(run.name), any_split_facts(images=len(IMAGES), train=TRAIN, test=TEST))
    labels = [answer_line(number, "teacher", label_text(number)) for number in range(len(IMAGES))]
    labels[0] = answer_line(0, "teacher", None, status="refused", reason="no list")
    _write_lines(data, keys.part_key(run.name, "label", "1"), labels)
    _write_lines(data, keys.part_key(run.name, "predict", "1"), _predictions())
    data.write_document(keys.estimate_key(run.name), any_estimate())
    if has_baseline(run):
        data.write_document(keys.baseline_key(run.name), any_baseline())
    data.write(f"{keys.training_prefix(run.name, 12)}step_wise_training_metrics.csv", _metrics("training_loss"))
    data.write(keys.dataset_key(run.name, "train-12"), b"{}\n")
    part = LedgerPart(
        step="LabelImages", model=run.teacher.model, calls=1, reused=0, input_tokens=1, output_tokens=1, usd=0.5
    )
    ledger.write_part(run.name, part, "1", data)
    jpeg = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 90, 40)).save(jpeg, "JPEG")
    for image in IMAGES:
        data.write(keys.image_key(run.image_side, image), jpeg.getvalue())
    return data


def _predictions() -> list[AnswerLine]:
    texts = {"base": "dog, sea, sky", "n12": "cat, sofa, thing {0}", "ceiling": "cat, sofa, thing {0}, colour {0}"}
    return [
        answer_line(number, answerer, text.format(number))
        for answerer, text in texts.items()
        for number in range(TRAIN, TRAIN + TEST)
    ]


def _metrics(column: str) -> bytes:
    return f"step_number,epoch_number,{column}\n1,0,2.5\n2,0,1.5\n".encode()


def _write_lines(data: Bucket, key: str, lines: list[Any]) -> None:
    data.write_lines(key, [line.model_dump(exclude_none=True) for line in lines])
