"""Converse: a small model answers about one image.

Of the prompt it reads the instruction of the answer format, and nothing else.
A model of the user's own server gets the whole request instead.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from distillation import keys
from distillation.dataset.image_checks import BEDROCK_FORMATS
from distillation.models import catalog, ids
from distillation.models.model import Family, Model
from distillation.records import Quota
from local.bedrock.faults import RESET, SLOW
from local.bedrock.protocol import BedrockError, ConnectionDropped
from local.bedrock.service import (
    ARN_PREFIX,
    Operation,
    RequestImage,
    Service,
    decode_image,
    foundation_model_arn,
    is_local,
    student_of,
)
from local.bedrock.vlm import VlmAnswer
from local.models.answer_forms import read_form
from local.models.sampling import perturbed

CONVERSE = "Converse"
PROBE = "Converse about the probe image"
"""Prepare's question to the teacher; it is counted apart from questions about images of the run."""
WITHOUT_IMAGE = "Converse without an image"

_CHARACTERS_PER_TOKEN = 4
_DEFAULT_MAX_TOKENS = 5000


def converse(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Answer with a small model about the one image of the request, or with ``ready`` without an image.

    A model of the user's own server answers as it does.
    """
    started = time.monotonic()
    model = values["modelId"]
    _authorise(service, model, caller)
    blocks = [block["image"] for m in values["messages"] for block in m["content"] if "image" in block]
    kind, tier = _kind(blocks), values.get("serviceTier", {}).get("type", "default")
    with service.lock:
        service.prompts.append((model, *_prompt(values)))
    fault = _fault(service, kind, model, tier)
    if fault == RESET:
        raise ConnectionDropped
    if fault and fault != SLOW:
        raise BedrockError(fault, "This local endpoint is configured to fail here.")
    base = _base_model(service, model, caller)
    _check_tier(tier, base)
    settings = values.get("inferenceConfig", {})
    _check_temperature(settings, base.family)
    _check_source(service, blocks, model)
    image = _read_image(service, blocks, caller, base.family) if blocks else None
    max_tokens = settings.get("maxTokens", _DEFAULT_MAX_TOKENS)
    tokens_in = _input_tokens(values, image, base.family)
    faults = service.faults.converse
    limit = faults.quotas.get(model, Quota())
    call = service.quotas.admit(model, tokens_in + max_tokens, limit, faults.day_seconds)
    try:
        if service.vlm and base.id in service.vlm.models and model not in service.deployments:
            answer = service.vlm.answer(base.id, values, image.body if image else None)
        else:
            text = _answer(service, kind, values, base, image) if image else "ready"
            answer = VlmAnswer(*_truncate(text, max_tokens), None, None)
    except BedrockError:
        service.quotas.settle(call, 0)
        raise
    if answer.input_tokens is not None:
        tokens_in = answer.input_tokens
    tokens_out = answer.output_tokens
    if tokens_out is None:
        tokens_out = max(1, len(answer.text) // _CHARACTERS_PER_TOKEN)
    service.quotas.settle(call, tokens_in + tokens_out)
    minimum = service.faults.converse.slow_seconds if fault == SLOW else service.faults.converse.seconds
    time.sleep(max(0.0, minimum - (time.monotonic() - started)))
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": answer.text}]}},
        "stopReason": answer.stop_reason,
        "usage": {
            "inputTokens": tokens_in,
            "outputTokens": tokens_out,
            "totalTokens": tokens_in + tokens_out,
        },
        "metrics": {"latencyMs": round((time.monotonic() - started) * 1000)},
        **({"serviceTier": values["serviceTier"]} if "serviceTier" in values else {}),
    }


def _authorise(service: Service, model: str, caller: str | None) -> None:
    """Check the caller's permissions on a model, a deployment or a profile.

    The actions on profiles and tuned models are those of "Prerequisites for running model inference", user guide.
    """
    if profile := _profile_arn(service, model):
        service.authorise(caller, "bedrock:GetInferenceProfile", profile)
        service.authorise(caller, "bedrock:InvokeModel", profile)
        foundation = foundation_model_arn(ids.foundation_id(service.profiles.get(model, model)))
        service.authorise(caller, "bedrock:InvokeModel", foundation, profile=profile)
    elif model.startswith("arn:"):
        service.authorise(caller, "bedrock:InvokeModel", model)
        if deployment := service.deployments.get(model):
            service.authorise(caller, "bedrock:GetCustomModel", deployment["modelArn"])
    else:
        service.authorise(caller, "bedrock:InvokeModel", foundation_model_arn(model))


def _prompt(values: dict[str, Any]) -> tuple[str, str]:
    """Return the system text and the user text of a request."""
    user = [block for message in values["messages"] for block in message["content"]]
    system, user = ("".join(block.get("text", "") for block in blocks) for blocks in (values.get("system", []), user))
    return system, user


def _profile_arn(service: Service, model: str) -> str | None:
    """Return the ARN of an inference profile; None if ``model`` is another id or ARN."""
    if model in service.profiles:
        return model
    return f"{ARN_PREFIX}:inference-profile/{ids.without_arn(model)}" if ids.profile_prefix(model) else None


def _kind(blocks: list[dict[str, Any]]) -> str:
    uris = [block["source"].get("s3Location", {}).get("uri", "") for block in blocks]
    if any(uri.endswith(f"/{keys.PROBE_IMAGE_KEY}") for uri in uris):
        return PROBE
    return CONVERSE if blocks else WITHOUT_IMAGE


def _fault(service: Service, kind: str, model: str, tier: str) -> str | None:
    """Count a call and return its fault, or None; raise BedrockError if it is one of the first, refused calls.

    Only questions about images of a run have faults. All calls count against the quota.
    """
    faults = service.faults.converse
    with service.lock:
        service.calls.append((kind, model))
        service.tiers[model, tier] += 1
        if len(service.calls) <= faults.refused_calls:
            raise BedrockError(*faults.refusal)
        number = sum(kind == CONVERSE for kind, _ in service.calls)
    return faults.of_call(number, tier) if kind == CONVERSE else None


def _check_tier(tier: str, base: Model) -> None:
    """Raise BedrockError for a service tier that the model has no price for. Not verified against AWS."""
    if tier != "default" and not base.has_price(f"input-{tier}"):
        raise BedrockError(
            "ValidationException",
            "Malformed input request: #: extraneous key [serviceTier] is not permitted, please reformat your input "
            "and try again.",
        )


def _check_temperature(settings: dict[str, Any], family: Family) -> None:
    temperature = settings.get("temperature", family.minimum_temperature)
    if temperature < family.minimum_temperature:
        raise BedrockError(
            "ValidationException",
            f"Malformed input request: #/inferenceConfig/temperature: {temperature} is not greater or equal to "
            f"{family.minimum_temperature}, please reformat your input and try again.",
        )


def _check_source(service: Service, blocks: list[dict[str, Any]], model: str) -> None:
    refused = service.faults.deployments_refuse_s3_location and model in service.deployments
    if refused and any("s3Location" in block["source"] for block in blocks):
        raise BedrockError("ValidationException", "The image source s3Location is not supported for this model.")


def _base_model(service: Service, model: str, caller: str | None) -> Model:
    """Return the called model, that behind a profile, or the base of a deployed model; raise BedrockError."""
    if _profile_arn(service, model):
        model = ids.foundation_id(service.profiles.get(model, model))
    if model.startswith("arn:"):
        deployment = service.find(service.deployments, model, "modelDeploymentName")
        if deployment["status"] != "Active":
            raise BedrockError("ValidationException", f"{model} is not Active.")
        tuned = service.custom_models[deployment["modelArn"]]
        service.authorise_decryption(caller, tuned)
        return student_of(tuned)
    if model not in catalog.models() or not is_local(model):
        raise BedrockError("ResourceNotFoundException", f"Model {model} not found.")
    return catalog.get_model(model)


def _input_tokens(values: dict[str, Any], image: RequestImage | None, family: Family) -> int:
    prompt = sum(len(block.get("text", "")) for block in values.get("system", []))
    prompt += sum(len(block.get("text", "")) for m in values["messages"] for block in m["content"])
    return max(1, prompt // _CHARACTERS_PER_TOKEN) + (family.image_tokens(*image.pixels.size) if image else 0)


def _answer(service: Service, kind: str, values: dict[str, Any], base: Model, image: RequestImage) -> str:
    """Return a small model's answer; the prompt's instruction of the answer format tells its form."""
    model = values["modelId"]
    seed = 0 if kind == PROBE else _seed(service, model, image.body)
    if model in service.deployments:
        deployment = service.find(service.deployments, model, "modelDeploymentName")
        return service.students[deployment["modelArn"]].answer(service.features(base.id, image))
    if base.training_id is None:
        temperature = values.get("inferenceConfig", {}).get("temperature", 0.0)
        is_sampled = temperature > base.family.minimum_temperature
        recognition = service.teacher(base.id).recognise(
            perturbed(image.pixels, temperature, seed) if is_sampled else image.pixels
        )
    else:
        recognition = service.student(base.id).recognise(service.features(base.id, image))
    return read_form("\n".join(_prompt(values))).answer(recognition)


def _seed(service: Service, model: str, image: bytes) -> int:
    """Count an answer about an image and return a seed from its number, so that samples differ and are repeatable."""
    answers = (model, hashlib.sha256(image).hexdigest())
    with service.lock:
        service.answered[answers] += 1
        number = service.answered[answers]
    return int.from_bytes(hashlib.sha256(f"{model}{number}".encode() + image).digest()[:4], "big")


def _read_image(service: Service, blocks: list[dict[str, Any]], caller: str | None, family: Family) -> RequestImage:
    """Return the request's image; raise BedrockError for an image that Bedrock refuses."""
    if len(blocks) != 1:
        raise BedrockError("ValidationException", "The local models answer about exactly one image.")
    source = blocks[0]["source"]
    body = source["bytes"] if "bytes" in source else service.fetch(source["s3Location"]["uri"], caller)
    if not body or len(body) > family.maximum_image_bytes:
        raise BedrockError("ValidationException", "The image is empty or larger than 10 MB.")
    image = decode_image(body)
    actual = BEDROCK_FORMATS.get(image.pixels.format or "")
    if actual != blocks[0]["format"]:
        raise BedrockError("ValidationException", f"The image is {actual}, not {blocks[0]['format']}.")
    return image


def _truncate(text: str, max_tokens: int) -> tuple[str, str]:
    """Return at most ``max_tokens`` tokens of a text, and the stop reason."""
    limit = max_tokens * _CHARACTERS_PER_TOKEN
    return (text, "end_turn") if len(text) <= limit else (text[:limit], "max_tokens")


OPERATIONS: dict[str, Operation] = {
    "Converse": converse,
}
