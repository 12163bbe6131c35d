"""Labelers: a model with the prompt and the settings that it is asked with."""

from __future__ import annotations

from distillation import keys
from distillation.models import catalog, ids
from distillation.records import Labeler, Prompt


def make_labeler(
    model: str, prompt: Prompt, max_tokens: int, temperature: float, profile: str | None = None
) -> Labeler:
    """Return a labeler at ``temperature``, or at the model's minimum if that is higher.

    ``profile`` is the ARN of the application inference profile to call the model through.
    """
    temperature = catalog.get_model(model).family.accepted_temperature(temperature)
    settings = {"maxTokens": max_tokens, "temperature": temperature}
    return Labeler(
        id=keys.labeler_id(ids.foundation_id(model), prompt.system, prompt.user, settings),
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        profile=profile,
    )
