from __future__ import annotations

import pytest

from distillation.answers.refusals import find_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with this image.",
        "I am sorry, I am unable to describe people.",
        "I apologise for the confusion.",
        "As an AI, I have no eyes.",
        "I will not be able to identify anyone",
        "Unable to process the image",
        "**Unable to process the image**",
        "Answer: unable to describe people",
        "Sorry, not able to view this image",
        "A person. We are currently unable to identify anyone",
        "The model is not able to analyse this image",
        "This goes against my content guidelines",
        "The generated text has been blocked by our content filters.",
    ],
)
def test_refusal_is_found(text: str) -> None:
    assert find_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "sorry, apology card, cannot, helper",
        "protest, i can't breathe, sign",
        "asana, aids",
        "A driver, unable to see the road, stops in thick fog.",
        "An old man who is not able to read the sign asks a boy for help.",
    ],
)
def test_answers_that_resemble_a_refusal_are_not_one(text: str) -> None:
    assert find_refusal(text) is None
