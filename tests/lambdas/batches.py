"""Batches of three images for LabelImages and PredictTestImages."""

from __future__ import annotations

from typing import Any

from botocore.stub import Stubber

from distillation import keys
from distillation.records import Answer, Usage
from distillation.storage import Bucket
from tests.support.builders import any_run, converse_response
from tests.support.simulated_bedrock import WORDS

IMAGES = [f"{number:064x}" for number in range(3)]


def write_run_with_one_label(data: Bucket) -> None:
    """Write a claimed run, and the label of the first image."""
    run = any_run(service_tier="default")
    label = Answer(
        model="m",
        image=IMAGES[0],
        text=WORDS,
        stop_reason="end_turn",
        usage=Usage(input_tokens=9, output_tokens=9),
        latency_ms=1,
    )
    data.write_document(keys.request_key(run.name), run)
    data.write_document(keys.label_key(run.teacher.id, IMAGES[0], 0), label)


def expect_one_answer_and_one_refusal(bedrock_runtime: Stubber) -> None:
    """Expect two calls of Converse: one is answered, the other is an error that is not retried."""
    bedrock_runtime.add_response("converse", converse_response(WORDS))
    bedrock_runtime.add_client_error("converse", "ValidationException", "bad image")


def batch_event(images: list[str], **batch_input: Any) -> dict[str, Any]:
    return {
        "BatchInput": {"run": any_run().name, "concurrent_batches": 1, **batch_input},
        "Items": [{"image": image, "ceiling": True} for image in images],
    }
