from __future__ import annotations

import pytest

from distillation.answers.owner_files import decode_text, file_sizes
from distillation.errors import InvalidRequest
from tests.support.fakes import bucket


def test_only_files_in_the_folder_of_the_collection_are_found_in_any_case() -> None:
    objects = {
        "holiday/labels.csv": b"1",
        "holiday/LABELS.CSV": b"22",
        "holiday/labels.csv.jpg": b"3",
        "holiday/a/labels.csv": b"4",
        "other/labels.csv": b"5",
    }

    assert file_sizes("holiday/", ["labels.csv"], bucket(**objects)) == {"LABELS.CSV": 2, "labels.csv": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_of_a_spreadsheet_is_read(encoding: str) -> None:
    assert decode_text("labels.csv", "photo,é".encode(encoding)) == "photo,é"


def test_first_line_in_another_encoding_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"labels.csv line 2 is not UTF-8. Save the file as UTF-8"):
        decode_text("labels.csv", "photo\né".encode("latin-1"))
