"""Check that the end-to-end tests need every grant of the deployed roles.

A request that a role's grants do not allow fails the test that makes it (tests/end_to_end/conftest.py), which protects
the grants that some test needs. Once all end-to-end tests have passed, this plugin finds the grants that no test needs.
Under pytest-xdist it does so in the process that collects the results of the workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from local.aws.grants import Grant

END_TO_END = Path(__file__).parents[1] / "end_to_end"
_PHYSICAL_NAME = re.compile(r"distill-\w+-(?:pipeline|storage)-(\w+?)[0-9a-f]{8}-\w+", re.IGNORECASE)
_KEY = "grants"

USED_BY_AWS = (
    *("* logs:*", "* xray:*", "* sqs:SendMessage *"),
    *("Distill-*StateMachine* *", "*SecondCleanUp* *", "BucketNotifications* *"),
    *("*/local.*-efficientnet-*", "*/local.student-pixels-2-*", "*/local.student-pixels-pro-*"),
)
"""fnmatch patterns of ``role action resource`` that test_service_grants.py or test_stage_grants.py derives."""
NOT_NEEDED_BY_RUNS = {
    "CleanUpRole states:DescribeExecution *": "Read if another run also names a model of the run that ended.",
    "CustomizeRole bedrock:CreateModelCustomizationJob arn:aws:bedrock:*:model-customization-job/[*]": "The reference "
    "lists only the models, and no run on AWS has shown yet that Bedrock does not check the job.",
    "DeployRole s3:PutObject arn:aws:s3:::data/work/[*]/daily-quota.json": "As PredictRole.",
    "DeployRole sns:Publish *": "As PredictRole.",
    "DeployRole bedrock:DeleteCustomModelDeployment *": "Deletes a deployment whose execution has ended.",
    "ListImagesRole s3:ListBucket arn:aws:s3:::photos": "Read if ResizePhotos has no line of a listed photo.",
    "NotifyRole bedrock:ListTagsForResource *": "Read if a failed run leaves models.",
    "NotifyRole s3:GetObject arn:aws:s3:::data/runs/[*]/request.json": "Read after a run ended without failure.json.",
    "PredictRole s3:GetObject arn:aws:s3:::data/work/locks/[*]": "Read if two runs label an image at the same time.",
    "PredictRole s3:PutObject arn:aws:s3:::data/work/[*]/daily-quota.json": "Announces once a wait for a daily "
    "quota, which the tests let LabelImages do.",
    "PredictRole sns:Publish *": "Announces a wait for a daily quota, which the tests let LabelImages do.",
    "PrepareRole lambda:GetAccountSettings [*]": "The emulator does not check this action.",
    "PrepareRole servicequotas:GetAWSDefaultServiceQuota [*]": "The emulator has no Service Quotas.",
    "PrepareRole servicequotas:GetServiceQuota [*]": "The emulator has no Service Quotas.",
    "PromoteRole s3:ListBucket arn:aws:s3:::data": "Without it a missing report would look like a missing permission.",
    "ResizeRole s3:ListBucket arn:aws:s3:::photos": "Without it a deleted photo would look like a missing permission.",
    "SplitRole s3:GetObject arn:aws:s3:::photos/[*]labels.jsonl": "The tests' own labels are in labels.csv.",
    "SweepRole bedrock:DeleteCustomModel *": "CleanUp deletes what the tests leave; both have the same statements.",
    "SweepRole bedrock:DeleteCustomModelDeployment *": "As DeleteCustomModel.",
    "SweepRole bedrock:TagResource *": "As DeleteCustomModel.",
}
"""Reasons why no end-to-end test needs a grant, keyed by the fnmatch pattern of ``role action resource``.

tests/infra/test_stage_grants.py fails if one of these grants is removed.
"""


class GrantCheck:
    """Plugin that collects the grants of all workers."""

    def __init__(self) -> None:
        self.deployed: set[str] = set()
        self.needed: set[str] = set()
        self._passed: set[str] = set()
        self._problems: list[str] = []

    def add(self, deployed: Iterable[Grant], needed: Iterable[Grant]) -> None:
        """Add the grants of a deployment, and those that the tests needed there."""
        for grants, found in ((self.deployed, deployed), (self.needed, needed)):
            grants.update(logical_name(f"{grant.role} {grant.action} {grant.resource}") for grant in found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the grants of a pytest-xdist worker that has finished."""
        deployed, needed = getattr(node, "workeroutput", {}).get(_KEY, ((), ()))
        self.deployed.update(deployed)
        self.needed.update(needed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the tests that passed, without their parameters and without their group of pytest-xdist."""
        if report.when == "call" and report.passed:
            self._passed.add(re.split(r"[\[@]", report.nodeid, maxsplit=1)[0])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send a worker's grants, or check those of all workers if every end-to-end test has passed."""
        worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if worker is not None:
            worker[_KEY] = (sorted(self.deployed), sorted(self.needed))
        elif end_to_end_tests() <= self._passed:
            self._problems = problems(self.deployed, self.needed, (*USED_BY_AWS, *NOT_NEEDED_BY_RUNS))
            if self._problems and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the grants that no test needs."""
        if self._problems:
            terminalreporter.section("grants of the deployed roles", red=True)
            for problem in self._problems:
                terminalreporter.line(problem)


def logical_name(text: str) -> str:
    """Return a text with the logical names of resources, without hash, instead of those that CloudFormation made."""
    return _PHYSICAL_NAME.sub(lambda name: name[1], text)


def end_to_end_tests() -> set[str]:
    """Return the ids of all end-to-end tests, without parameters."""
    return {
        f"tests/end_to_end/{path.name}::{name}"
        for path in END_TO_END.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }


def problems(deployed: set[str], needed: set[str], explained: Iterable[str]) -> list[str]:
    """Return a sentence for each deployed grant that no test needs and no pattern explains."""
    patterns = list(explained)
    return [
        f"No end-to-end test needs the grant {grant}. Remove it, or let a test use it."
        for grant in sorted(deployed - needed)
        if not any(fnmatchcase(grant, pattern) for pattern in patterns)
    ]
