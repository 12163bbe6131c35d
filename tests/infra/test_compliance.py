from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from tests.support.synthesis import synthesise

# fnmatch pattern of a cdk-nag finding -> why it is accepted; "[[]" matches a literal "[".
ACCEPTED = {
    "AwsSolutions-IAM4[[]Policy::*/AWSLambdaBasicExecutionRole]": "CDK's own bucket-notification function.",
    "AwsSolutions-IAM5[[]Resource::[*]]": "Bedrock's List actions, Service Quotas, X-Ray and log delivery have "
    "no resource-level permissions.",
    "AwsSolutions-IAM5[[]Resource::*:custom-model-deployment/[*]]": "Bedrock chooses the names of deployments.",
    "AwsSolutions-IAM5[[]Resource::*:custom-model/[*]]": "Bedrock chooses the ids of models.",
    "AwsSolutions-IAM5[[]Resource::*:model-customization-job/[*]]": "Bedrock chooses the ids of jobs.",
    "AwsSolutions-IAM5[[]Resource::*:execution:[*]]": "Steps read the input and the status of their execution; "
    "naming the machine would be a circular dependency, because its definition names the functions.",
    "AwsSolutions-IAM5[[]Resource::*:execution:<*.Name>[*]]": "Child executions are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*:mapRun:[*]]": "Map Runs are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/budget/[*]]": "The spending of a stage is kept by month.",
    "AwsSolutions-IAM5[[]Resource::*Data*/calibration/[*]]": "Calibrations are named after their model.",
    "AwsSolutions-IAM5[[]Resource::*Data*/images/[*]]": "Images are named after their hash.",
    "AwsSolutions-IAM5[[]Resource::*Data*/labels/[*]]": "Labels are named after labeler and image.",
    "AwsSolutions-IAM5[[]Resource::*Data*/runs/[*]*]": "Runs are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/sets/[*]]": "Users name their collections.",
    "AwsSolutions-IAM5[[]Resource::*Data*/wor[k]/[*]*]": "Runs are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/wor[k]/locks/[*]]": "Locks are named after labeler and image.",
    "AwsSolutions-IAM5[[]Resource::*Photos*/[*]*]": "Users name their photos.",
}


def test_every_cdk_nag_finding_is_explained_and_no_explanation_is_unused(tmp_path: Path) -> None:
    app, _ = synthesise("dev", tmp_path)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    findings = {v["ruleName"] for plugin in report["pluginReports"] for v in plugin["violations"]}

    assert {f for f in findings if not any(fnmatchcase(f, p) for p in ACCEPTED)} == set()
    assert {p for p in ACCEPTED if not any(fnmatchcase(f, p) for f in findings)} == set()
