"""Untuned models, whose answers all runs share: they are stored by model, prompt and settings, and paid for once."""

from __future__ import annotations

from functools import partial

from distillation import keys
from distillation.inference.image_batch import Target
from distillation.inference.labeler import make_labeler
from distillation.records import Labeler, Prompt, Run


def untuned_labeler(run: Run, model: str, prompt: Prompt) -> Labeler:
    """Return an untuned model as a labeler with the run's inference settings.

    If the teacher has the same model, prompt and settings, the labeler has the teacher's id, and shares its answers.
    """
    return make_labeler(model, prompt, run.teacher.max_tokens, run.teacher.temperature)


def untuned_target(run: Run, name: str, model: str, prompt: Prompt) -> Target:
    """Return an untuned model as target, which is not asked again after an invalid answer."""
    labeler = untuned_labeler(run, model, prompt)
    return Target(
        name=name,
        model=model,
        billed_as=model,
        labeler=labeler,
        prompt=prompt,
        answer_key=partial(keys.label_key, labeler.id, sample=0),
    )
