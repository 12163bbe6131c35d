from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.stage import Stage
from tests.aws import verify
from tests.aws.assumptions import Assumption
from tests.aws.free_checks import StageUnderTest
from tests.aws.receipt import Receipt
from tests.aws.verify import Verification, write_receipt

RUN = "verify-aws-1764204000-ab12cd34ef"
TARGET = StageUnderTest(Stage("dev", "us-east-1"), "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")


def assumption(name: str, check: Callable[[Any], str] = lambda _: "seen") -> Assumption:
    return Assumption(name, f"{name} is true", "no", check=check)


def refuted(_: Any) -> str:
    raise AssertionError("the job was Stopped")


def broken(_: Any) -> str:
    raise RuntimeError("no answer")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_stage_names", lambda stage: {stage.name})
    monkeypatch.setattr(verify, "_run_names", lambda observed: {observed})


class Runs:
    """Context manager of a run, which counts how often it was entered and left."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    @contextmanager
    def __call__(self) -> Iterator[Any]:
        self.opened += 1
        yield RUN
        self.closed += 1


def outcomes(verification: Verification) -> dict[str, str]:
    return {name: outcome.outcome for name, outcome in verification.outcomes.items()}


@pytest.mark.parametrize("check", [refuted, broken])
def test_nothing_is_paid_or_asked_after_a_failed_free_check(check: Callable[[Any], str]) -> None:
    runs, questions, verification = Runs(), [], Verification(TARGET)
    free, paid = [assumption("first", check), assumption("second")], [assumption("paid")]

    assert not verification.run(runs, lambda text: questions.append(text) or "yes", free=free, paid=paid)

    assert (runs.opened, questions) == (0, [])
    assert list(outcomes(verification)) == ["first", "second"]
    assert verification.receipt(date(2026, 12, 1)).problem == "nothing was paid, because a free check failed"


def test_nothing_is_paid_unless_the_user_types_yes() -> None:
    runs, verification = Runs(), Verification(TARGET)

    assert verification.run(runs, lambda _: "y", free=[assumption("free")], paid=[assumption("paid")])

    assert runs.opened == 0
    assert outcomes(verification) == {"free": "confirmed"}


def test_paid_checks_run_to_the_end_and_the_run_is_cleaned_up() -> None:
    runs, verification = Runs(), Verification(TARGET)
    paid = [assumption("wrong", refuted), assumption("broken", broken), assumption("right", lambda run: f"{run} ended")]

    assert not verification.run(runs, lambda _: "yes", free=[assumption("free")], paid=paid)

    assert (runs.opened, runs.closed) == (1, 1)
    checks = verification.receipt(date(2026, 12, 1)).checks
    assert {name: (outcome.outcome, outcome.observation) for name, outcome in checks.items()} == {
        "free": ("confirmed", "seen"),
        "wrong": ("refuted", "the job was Stopped"),
        "broken": ("error", "RuntimeError: no answer"),
        "right": ("confirmed", "<name> ended"),
    }


def test_receipt_has_a_name_of_its_own_and_can_be_read_again(tmp_path: Path) -> None:
    receipt = Verification(TARGET).receipt(date(2026, 12, 1))

    first, second = write_receipt(receipt, tmp_path), write_receipt(receipt, tmp_path)

    assert first != second
    assert (
        Receipt.model_validate_json(first.read_bytes()) == Receipt.model_validate_json(second.read_bytes()) == receipt
    )


@pytest.mark.parametrize(
    ("error", "exit_code", "problem"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (AssertionError(f"Prepare refused the run: {RUN}"), 1, f"AssertionError: Prepare refused the run: {RUN}"),
    ],
)
def test_receipt_is_written_whatever_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, exit_code: int, problem: str
) -> None:
    @contextmanager
    def failing(*_: Any) -> Iterator[Any]:
        raise error
        yield

    monkeypatch.setattr(verify, "ROOT", tmp_path)
    monkeypatch.setattr(verify, "observed_run", failing)
    monkeypatch.setattr(verify, "prompt", lambda _: "yes")
    monkeypatch.setattr(verify, "checks", lambda cost: [assumption(cost)])

    assert verify.main(["--stage", "dev"]) == exit_code

    (path,) = (tmp_path / "build" / "receipts").iterdir()
    receipt = Receipt.model_validate_json(path.read_bytes())
    assert (list(receipt.checks), receipt.problem) == (["free"], problem)


def test_emulator_gives_no_receipt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")

    assert verify.main(["--stage", "local"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_unknown_stage_is_an_error_without_a_receipt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify, "ROOT", tmp_path)

    assert verify.main(["--stage", "nowhere"]) == 2
    assert list(tmp_path.iterdir()) == []
