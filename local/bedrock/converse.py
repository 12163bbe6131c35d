"""Converse: a small model answers with keywords about one image; prompts are accepted and not read."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from distillation.dataset.media import FORMAT_OF
from distillation.models import catalog
from distillation.records import Quota
from local.bedrock.faults import RESET, SLOW
from local.bedrock.protocol import BedrockError, ConnectionDropped
from local.bedrock.service import Operation, Service, foundation_model, is_local, opened

WITHOUT_IMAGE = "Converse without an image"

_CHARACTERS_PER_TOKEN = 4
_MOST_TOKENS = 5000


def converse(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Answer with the keywords that a small model sees in the request's one image, or without one that it is there."""
    started = time.monotonic()
    model = values["modelId"]
    service.authorise(caller, "bedrock:InvokeModel", model if model.startswith("arn:") else foundation_model(model))
    blocks = [block["image"] for m in values["messages"] for block in m["content"] if "image" in block]
    with service.lock:
        service.calls.append(("Converse" if blocks else WITHOUT_IMAGE, model))
        number = sum(kind == "Converse" for kind, _ in service.calls)
    # Faults are of questions about images; the quota is of all.
    fault = service.faults.converse.of_call(number) if blocks else None
    if fault == RESET:
        raise ConnectionDropped
    if fault and fault != SLOW:
        raise BedrockError(fault, "This local endpoint was told to fail here.")
    base = _base(service, model)
    body = _image(service, blocks, caller, base.family) if blocks else None
    settings = values.get("inferenceConfig", {})
    tokens_in = _input_tokens(values, body, base.family)
    limit = service.faults.converse.quotas.get(model, Quota())
    held = service.quotas.admit(model, tokens_in + settings.get("maxTokens", _MOST_TOKENS), limit)
    try:
        said = _about_image(service, model, base, body, settings.get("temperature", 0.0)) if body else "ready"
    except BedrockError:
        service.quotas.settle(held, 0)
        raise
    text, stop = _cut(said, settings.get("maxTokens", _MOST_TOKENS))
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
        **({"serviceTier": values["serviceTier"]} if "serviceTier" in values else {}),
    }


def _base(service: Service, model: str) -> catalog.Model:
    """Return the model of the table that answers, or that was tuned; raises ``BedrockError``."""
    if model.startswith("arn:"):
        deployment = service.find(service.deployments, model, "modelDeploymentName")
        if deployment["status"] != "Active":
            raise BedrockError("ValidationException", f"{model} is not Active.")
        return catalog.get_model(service.custom_models[deployment["modelArn"]]["_student"])
    if model not in catalog.MODELS or not is_local(model):
        raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
    return catalog.get_model(model)


def _input_tokens(values: dict[str, Any], image: bytes | None, family: catalog.Family) -> int:
    prompt = sum(len(block.get("text", "")) for block in values.get("system", []))
    prompt += sum(len(block.get("text", "")) for m in values["messages"] for block in m["content"])
    return max(1, prompt // _CHARACTERS_PER_TOKEN) + (family.image_tokens(*opened(image).size) if image else 0)


def _about_image(service: Service, model: str, base: catalog.Model, body: bytes, temperature: float) -> str:
    image, seed = opened(body), _seed(service, model, body)
    if base.training_id is None:
        teacher = service.teacher(base.id)
        said = teacher.sampled_keywords(image, temperature, seed) if temperature > 0 else teacher.keywords(image)
    elif model == base.id:
        student = service.student(base.id)
        said = student.base_keywords(student.features(image))
    else:
        deployment = service.find(service.deployments, model, "modelDeploymentName")
        said = service.heads[deployment["modelArn"]].keywords(service.student(base.id).features(image))
    return ", ".join(said)


def _seed(service: Service, model: str, image: bytes) -> int:
    """Number the questions about an image, so that each is sampled anew and a run can be repeated."""
    with service.lock:
        service.asked[model, hashlib.sha256(image).hexdigest()] += 1
        number = service.asked[model, hashlib.sha256(image).hexdigest()]
    return int.from_bytes(hashlib.sha256(f"{model}{number}".encode() + image).digest()[:4], "big")


def _image(service: Service, blocks: list[dict[str, Any]], caller: str | None, family: catalog.Family) -> bytes:
    if len(blocks) != 1:
        raise BedrockError("ValidationException", "The local models answer about exactly one image.")
    source = blocks[0]["source"]
    body = source["bytes"] if "bytes" in source else service.fetch(source["s3Location"]["uri"], caller)
    if not body or len(body) > family.maximum_image_bytes:
        raise BedrockError("ValidationException", "The image is empty or larger than 10 MB.")
    real = FORMAT_OF.get(opened(body).format or "")
    if real != blocks[0]["format"]:
        raise BedrockError("ValidationException", f"The image is {real}, not {blocks[0]['format']}.")
    return body


def _cut(text: str, max_tokens: int) -> tuple[str, str]:
    limit = max_tokens * _CHARACTERS_PER_TOKEN
    return (text, "end_turn") if len(text) <= limit else (text[:limit], "max_tokens")


OPERATIONS: dict[str, Operation] = {
    "Converse": converse,
}
