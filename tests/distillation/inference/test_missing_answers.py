from __future__ import annotations

import pytest

from distillation.errors import ObjectMissing
from distillation.inference.missing_answers import AnswerParts, require_lines
from tests.support.builders import any_run
from tests.support.fakes import bucket


def test_missing_list_is_a_sentence_of_its_own() -> None:
    parts = AnswerParts("label", "lost.jsonl")

    with pytest.raises(ObjectMissing, match=r"First a\. s3://data/lost\.jsonl does not exist\. A redrive"):
        require_lines(any_run(), "the teacher", ["a"], [], parts, bucket())
