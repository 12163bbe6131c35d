from __future__ import annotations

import pytest

from distillation import keys
from distillation.documents import Loss
from distillation.evaluation.training_metrics import read_losses
from tests.support.fakes import bucket

KEY = f"{keys.training_prefix('holiday-1', 12)}step_wise_training_metrics.csv"
HEADER = b"step_number,epoch_number,training_loss\n"
BOTH = [Loss(step=1, loss=2.5), Loss(step=2, loss=1.5)]


@pytest.mark.parametrize(
    ("body", "losses", "note"),
    [
        (HEADER + b"1,0,2.5\n2,0,1.5\n", BOTH, None),
        (b"\xef\xbb\xbf" + HEADER + b"1,0,2.5\n2,0,1.5\n", BOTH, None),
        (
            HEADER.replace(b",epoch", b", epoch").replace(b",training", b", training") + b"1,0,2.5\n2,0,1.5\n",
            BOTH,
            None,
        ),
        (HEADER.replace(b"\n", b",Gr\xf6\xdfe\n") + b"1,0,2.5,\xe9\n2,0,1.5,\xe9\n", BOTH, None),
        (HEADER + b"1,0,2.5\n2,0,1.5\n3,0,\n", BOTH, "1 of 3 rows of "),
        (HEADER + b"1,0,2.5\n2,0,1.5\n3,0,N/A\n4,0,nan\n5,0,inf\n6,0,1e300\n", BOTH, "4 of 6 rows of "),
        (HEADER + b"1,0,2.5\n2,0,1.5\n3,0\n4\n", BOTH, "2 of 4 rows of "),
        (HEADER + b",0,2.5\nx,0,1.5\n", [], "2 of 2 rows of "),
        (HEADER, [], None),
        (b"", [], "The losses in "),
        (bytes(range(256)) * 20, [], "The losses in "),
        ((HEADER + b"1,0,2.5\n").decode().encode("utf-16"), [], "The losses in "),
        (HEADER + b"1,0," + b"9" * 200_000, [], "The losses in "),
        (HEADER + b"1,0,2.5\n" * 200_000, [], "The losses in "),
    ],
)
def test_losses_that_cannot_be_read_are_left_out_with_a_note(body: bytes, losses: list[Loss], note: str | None) -> None:
    notes: list[str] = []

    assert read_losses("holiday-1", 12, "training_loss", bucket(**{KEY: body}), notes) == losses
    assert [line.partition("s3://data/" + KEY)[0] for line in notes] == ([note] if note else [])


def test_job_without_validation_metrics_has_no_validation_losses_and_no_note() -> None:
    notes: list[str] = []

    assert read_losses("holiday-1", 12, "validation_loss", bucket(**{KEY: HEADER + b"1,0,2.5\n"}), notes) == []
    assert notes == []
