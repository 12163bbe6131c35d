"""Converse: a small model answers with keywords about one image; prompts are accepted and not read."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from PIL import Image

from lambdas.shared import families
from lambdas.shared.records import Quota
from local.bedrock.faults import RESET, SLOW
from local.bedrock.protocol import BedrockError, ConnectionDropped
from local.bedrock.service import REGION, Operation, Service, opened

_CHARACTERS_PER_TOKEN = 4
_MOST_TOKENS = 5000
_EXTENSION_OF = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}


def converse(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Answer with the keywords that a small model sees in the request's one image."""
    started = time.monotonic()
    model = values["modelId"]
    kind = "custom-model-deployment" if model.startswith("arn:") else "foundation-model"
    arn = model if model.startswith("arn:") else f"arn:aws:bedrock:{REGION}::{kind}/{model}"
    service.authorise(caller, "bedrock:InvokeModel", arn)
    with service.lock:
        service.calls.append(("Converse", model))
        number = len(service.calls)
    fault = service.faults.converse.of_call(number)
    if fault == RESET:
        raise ConnectionDropped
    if fault and fault != SLOW:
        raise BedrockError(fault, "This local endpoint was told to fail here.")
    body = _image(service, values, caller)
    image = opened(body)
    settings = values.get("inferenceConfig", {})
    prompt = sum(len(block.get("text", "")) for block in values.get("system", []))
    prompt += sum(len(block.get("text", "")) for m in values["messages"] for block in m["content"])
    tokens_in = prompt // _CHARACTERS_PER_TOKEN + families.NOVA_1.image_tokens(*image.size)
    limit = service.faults.converse.quotas.get(model, Quota())
    held = service.quotas.admit(model, tokens_in + settings.get("maxTokens", _MOST_TOKENS), limit)
    try:
        words = _look(service, model, image, settings.get("temperature", 0.0), _seed(service, model, body))
    except BedrockError:
        service.quotas.settle(held, 0)
        raise
    text, stop = _cut(", ".join(words), settings.get("maxTokens", _MOST_TOKENS))
    tokens_out = max(1, len(text) // _CHARACTERS_PER_TOKEN)
    service.quotas.settle(held, tokens_in + tokens_out)
    least = service.faults.converse.slow_seconds if fault == SLOW else service.faults.converse.seconds
    time.sleep(max(0.0, least - (time.monotonic() - started)))
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop,
        "usage": {
            "inputTokens": tokens_in,
            "outputTokens": tokens_out,
            "totalTokens": tokens_in + tokens_out,
        },
        "metrics": {"latencyMs": round((time.monotonic() - started) * 1000)},
    }


def _seed(service: Service, model: str, image: bytes) -> int:
    """Number the questions about an image, so that each is sampled anew and a run can be repeated."""
    with service.lock:
        service.asked[model, hashlib.sha256(image).hexdigest()] += 1
        number = service.asked[model, hashlib.sha256(image).hexdigest()]
    return int.from_bytes(hashlib.sha256(f"{model}{number}".encode() + image).digest()[:4], "big")


def _image(service: Service, values: dict[str, Any], caller: str | None) -> bytes:
    blocks = [block["image"] for m in values["messages"] for block in m["content"] if "image" in block]
    if len(blocks) != 1:
        raise BedrockError("ValidationException", "The local models answer about exactly one image.")
    source = blocks[0]["source"]
    body = source["bytes"] if "bytes" in source else service.fetch(source["s3Location"]["uri"], caller)
    if not body or len(body) > families.NOVA_1.maximum_image_bytes:
        raise BedrockError("ValidationException", "The image is empty or larger than 10 MB.")
    real = _EXTENSION_OF.get(opened(body).format or "")
    if real != blocks[0]["format"]:
        raise BedrockError("ValidationException", f"The image is {real}, not {blocks[0]['format']}.")
    return body


def _look(service: Service, model: str, image: Image.Image, temperature: float, seed: int) -> list[str]:
    if model.startswith("arn:"):
        deployment = service.find(service.deployments, model, "modelDeploymentName")
        if deployment["status"] != "Active":
            raise BedrockError("ValidationException", f"{model} is not Active.")
        base = service.custom_models[deployment["modelArn"]]["_student"]
        student = service.student(base)
        return service.heads[deployment["modelArn"]].keywords(student.features(image))
    if model.startswith("local.student-") and model in families.MODELS:
        student = service.student(model)
        return student.base_keywords(student.features(image))
    if not model.startswith("local.teacher-"):
        raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
    teacher = service.teacher(model)
    if temperature > 0:
        return teacher.sampled_keywords(image, temperature, seed)
    return teacher.keywords(image)


def _cut(text: str, max_tokens: int) -> tuple[str, str]:
    limit = max_tokens * _CHARACTERS_PER_TOKEN
    return (text, "end_turn") if len(text) <= limit else (text[:limit], "max_tokens")


OPERATIONS: dict[str, Operation] = {
    "Converse": converse,
}
