from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.aws.grants import Grant
from tests.support.grant_check import GrantCheck, end_to_end_tests, logical_name, problems

READ, WRITE = "LabelRole s3:GetObject data/images/*", "LabelRole s3:PutObject data/labels/*"


def test_grant_that_no_test_needs_is_a_problem_unless_it_is_explained() -> None:
    (problem,) = problems({READ, WRITE}, {READ}, [])

    assert WRITE in problem
    assert problems({READ, WRITE}, {READ}, ["* s3:PutObject *"]) == []


def test_names_of_a_deployment_become_logical_names() -> None:
    role = "Distill-local-Pipeline-LabelRole152140B7-1A2B3C4D5E6F"
    bucket = "arn:aws:s3:::distill-local-storage-data666c94c7-9f8e7d6c5b4a/images/*"

    assert logical_name(f"{role} s3:GetObject {bucket}") == "LabelRole s3:GetObject arn:aws:s3:::data/images/*"


def test_all_end_to_end_tests_are_known() -> None:
    folder = Path(__file__).parents[1] / "end_to_end"
    text = "".join(path.read_text("utf-8") for path in folder.glob("test_*.py"))

    assert len(end_to_end_tests()) == text.count("\ndef test_") > 20


def session(**config: Any) -> Any:
    return SimpleNamespace(config=SimpleNamespace(**config), exitstatus=pytest.ExitCode.OK)


def finished(workers: list[Any], passed: set[str]) -> Any:
    """Return the session of the process that collects the results of workers and of passed tests."""
    check, collecting = GrantCheck(), session()
    for worker in workers:
        check.pytest_testnodedown(SimpleNamespace(workeroutput=worker.config.workeroutput))
    for test in passed:
        report: Any = SimpleNamespace(when="call", passed=True, nodeid=f"{test}[parameter]@deployment")
        check.pytest_runtest_logreport(report)
    check.pytest_sessionfinish(collecting)
    return collecting


def test_session_fails_if_no_worker_needs_a_grant_and_all_end_to_end_tests_passed() -> None:
    deployed = [Grant("LabelRole", action, "*", "{}") for action in ("s3:GetObject", "s3:PutObject")]
    workers = []
    for grant in deployed:
        check, worker = GrantCheck(), session(workeroutput={})
        check.add(deployed, [grant])
        check.pytest_sessionfinish(worker)
        workers.append(worker)
    every_test = end_to_end_tests()

    assert finished(workers, every_test).exitstatus == pytest.ExitCode.OK
    assert finished(workers[:1], every_test).exitstatus == pytest.ExitCode.TESTS_FAILED
    assert finished(workers[:1], every_test - {min(every_test)}).exitstatus == pytest.ExitCode.OK
