"""Inputs and outputs of states stay under 256 KiB, Step Functions' limit, with 20,000 images and the longest names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillation.records import SplitLine, TrainedModel
from infra.config import StageConfig
from tests.statemachine.test_definition import DEFINITION, STATES

LIMIT = 256 * 1024
IMAGES = 20_000
LONGEST_KEY = "é" * 512
"""The longest key that S3 allows: 1,024 bytes."""
CAUSE = "x" * 8_000
"""Longer than any error message of the pipeline with its stack trace."""
SMALLEST_BATCH, LARGEST_BATCH = (
    next(getattr(rule, name) for rule in StageConfig.model_fields["images_per_batch"].metadata if hasattr(rule, name))
    for name in ("ge", "le")
)
MODELS = [
    TrainedModel(size=IMAGES, status="Failed", model_name="m" * 63, deployment_arn="d" * 150, reason=CAUSE).model_dump()
    for _ in range(10)
]
ANY = "x" * 1_024
"""Value of a field that LARGEST does not name: a key, a name or a count."""
# The largest output of each state: the longest texts and the largest counts.
LARGEST: dict[str, dict[str, Any]] = {
    "Estimate": {
        "sizes": [IMAGES] * 10,
        "concurrent_batches": {"label": 1000, "predict": 1000},
        "verdict": CAUSE,
    },
    "Baseline": {"verdict": CAUSE},
    "WriteDataset": {"sizes": [IMAGES] * 10},
    "TrainModels": {"models": MODELS},
    "Evaluate": {"verdict": CAUSE},
    "CleanUp": dict.fromkeys(("stopped", "deleted", "kept"), ["m" * 63] * 20),
}
PREPARED = {
    "run": "r" * 41,
    "collection": LONGEST_KEY,
    "claimed_by": "arn:" * 50,
    "until": "ValidateDataset",
    "concurrency": dict.fromkeys(("resize", "label", "predict"), 1000),
    "images_per_batch": LARGEST_BATCH,
    "listing": {"photos": IMAGES, "digest": "d" * 64, "settled": False},
    "round": {"number": -1},
}


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def test_largest_possible_state_with_an_error_fits() -> None:
    state = PREPARED | {"failed": {"Evaluate": {"Error": "E", "Cause": CAUSE}}}
    for name, definition in DEFINITION["States"].items():
        path = definition.get("ResultPath") or "$"
        if path != "$" and not path.startswith("$.failed."):
            fields = [
                key.removesuffix(".$") for key in definition.get("ResultSelector", definition.get("Parameters", {}))
            ]
            assert set(LARGEST.get(name, {})) <= set(fields), name
            # Estimate and ListImages write to the same path; the sum of both is larger than either.
            key = path.removeprefix("$.")
            state[key] = dict.fromkeys(fields, ANY) | LARGEST.get(name, {}) | state.get(key, {})

    assert {"split", "round", "baseline", "trained", "evaluation", "failed"} < set(state)
    assert size(state) < LIMIT


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if "ItemBatcher" in state])
def test_map_output_is_counts_and_fits_with_the_smallest_batches(name: str) -> None:
    state = STATES[name]
    (task,) = state["ItemProcessor"]["States"].values()
    batch = state["ItemBatcher"].get("MaxItemsPerBatch", SMALLEST_BATCH)

    assert {key.removesuffix(".$") for key in task["ResultSelector"]} == {"ok", "refused"}
    assert size([{"ok": batch, "refused": batch}] * (IMAGES // batch)) < LIMIT


def test_batch_input_fits_with_the_largest_batches_and_the_longest_names() -> None:
    line = SplitLine(image="a" * 64, group="a" * 64, photo=LONGEST_KEY, width=8000, height=8000).model_dump()
    listed = {
        "Etag": '"' + "e" * 40,
        "Key": LONGEST_KEY,
        "LastModified": 1.0e9,
        "Size": 10**9,
        "StorageClass": "S" * 20,
    }
    batch = {"run": "r" * 41, "concurrent_batches": 1000}
    photos = STATES["ResizePhotos"]["ItemBatcher"]["MaxItemsPerBatch"]

    assert size({"BatchInput": batch, "Items": [listed] * photos}) < LIMIT
    assert size({"BatchInput": batch, "Items": [line] * LARGEST_BATCH}) < LIMIT
    assert size({"BatchInput": batch | {"models": MODELS}, "Items": [line] * 100}) < LIMIT
