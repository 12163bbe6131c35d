"""A run in memory after PredictTestImages: what Evaluate reads."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from distillation import keys, ledger
from distillation.records import AnswerLine, InventoryLine, LedgerPart, Run, TrainedModel, Usage
from distillation.storage import Bucket
from tests.support.builders import any_estimate, any_split_facts
from tests.support.fakes import bucket

TRAIN, TEST = 12, 20
IMAGES = [f"{number:064x}" for number in range(TRAIN + TEST)]
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
    """Return the Data bucket of a run that trained on 12 of 32 images and refused one photo and one label."""
    data = bucket()
    sets = ["train"] * TRAIN + ["test"] * TEST
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
    splits = [
        {"image": image, "photo": f"holiday/{number}.jpg", "group": image, "width": 60, "height": 40}
        for number, image in enumerate(IMAGES)
    ]
    train, test = splits[:TRAIN], splits[TRAIN:]
    lists = {"to-label": splits, "to-predict": test, "train": train, "test": test, "validation": []}
    for name, lines in lists.items():
        data.write_lines(keys.split_key(run.name, name), lines)
    data.write_document(keys.split_facts_key(run.name), any_split_facts(images=len(IMAGES)))
    labels = [answer_line(number, "teacher", label_text(number)) for number in range(len(IMAGES))]
    labels[0] = answer_line(0, "teacher", None, status="refused", reason="no list")
    _write_lines(data, keys.part_key(run.name, "label", "1"), labels)
    _write_lines(data, keys.part_key(run.name, "predict", "1"), _predictions())
    data.write_document(keys.estimate_key(run.name), any_estimate())
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
