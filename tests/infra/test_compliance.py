from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from local.synthesis import synthesise

# fnmatch pattern of a cdk-nag finding -> why it is accepted; "[[]" stands for a literal "[".
ACCEPTED = {
    "AwsSolutions-IAM4[[]Policy::*/AWSLambdaBasicExecutionRole]": "CDK's own bucket-notification function.",
    "AwsSolutions-IAM5[[]Resource::[*]]": "Bedrock's List actions, X-Ray and log delivery know no resources; "
    "nor, as far as is documented, does ListExecutions of a Map Run, by which RecordFailure finds the batch.",
    "AwsSolutions-IAM5[[]Resource::*:custom-model-deployment/[*]]": "Bedrock names deployments when made.",
    "AwsSolutions-IAM5[[]Resource::*:custom-model/[*]]": "Bedrock names models when made.",
    "AwsSolutions-IAM5[[]Resource::*:model-customization-job/[*]]": "Bedrock names jobs when made.",
    "AwsSolutions-IAM5[[]Resource::*:execution:[*]]": "RecordFailure reads the run's history; naming the "
    "machine here would be a circle, for the machine names the function.",
    "AwsSolutions-IAM5[[]Resource::*:execution:<*.Name>[*]]": "Child executions are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/calibration/[*]]": "Measurements are named by their model.",
    "AwsSolutions-IAM5[[]Resource::*Data*/images/[*]]": "Images are named by their hash.",
    "AwsSolutions-IAM5[[]Resource::*Data*/labels/[*]]": "Labels are named by labeler and image.",
    "AwsSolutions-IAM5[[]Resource::*Data*/runs/[*]*]": "Runs are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/sets/[*]]": "Collections are named by the user.",
    "AwsSolutions-IAM5[[]Resource::*Data*/wor[k]/[*]*]": "Runs are named at run time.",
    "AwsSolutions-IAM5[[]Resource::*Data*/work/turns/[*]]": "Turns are named by labeler and image.",
    "AwsSolutions-IAM5[[]Resource::*Photos*/[*]*]": "Photos are named by the user.",
}


def test_every_cdk_nag_finding_is_explained_and_no_explanation_is_outdated(tmp_path: Path) -> None:
    app, _ = synthesise("dev", tmp_path)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    found = {v["ruleName"] for plugin in report["pluginReports"] for v in plugin["violations"]}

    assert {f for f in found if not any(fnmatchcase(f, p) for p in ACCEPTED)} == set()
    assert {p for p in ACCEPTED if not any(fnmatchcase(f, p) for f in found)} == set()
