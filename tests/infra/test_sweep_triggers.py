from __future__ import annotations

from fnmatch import fnmatchcase

from aws_cdk.assertions import Template

from tests.infra.template_readers import actions, main_machine, role_statements


def test_deleting_the_stack_sweeps_after_the_machine_is_deleted(pipeline: Template) -> None:
    ((name, resource),) = pipeline.find_resources("Custom::SweepOnDeletion").items()
    machine = main_machine(pipeline)

    assert name in machine["DependsOn"]
    assert resource["Properties"]["ServiceToken"]["Fn::GetAtt"][0].startswith("Sweep")


def test_sweep_runs_daily_and_cannot_create_anything(pipeline: Template) -> None:
    (rule,) = pipeline.find_resources(
        "AWS::Events::Rule", {"Properties": {"ScheduleExpression": "rate(1 day)"}}
    ).values()
    granted = actions(role_statements(pipeline, "SweepRole"))

    assert rule["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0].startswith("Sweep")
    assert not [a for a in granted for p in ("bedrock:Create*", "s3:Put*", "s3:Delete*") if fnmatchcase(a, p)]
