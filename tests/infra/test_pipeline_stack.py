from __future__ import annotations

from aws_cdk.assertions import Match, Template


def test_bedrock_may_assume_its_role_for_this_accounts_jobs_only(pipeline: Template) -> None:
    pipeline.has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Action": "sts:AssumeRole",
                        "Condition": {
                            "ArnEquals": {"aws:SourceArn": Match.any_value()},
                            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
                        },
                        "Effect": "Allow",
                        "Principal": {"Service": "bedrock.amazonaws.com"},
                    }
                ],
                "Version": "2012-10-17",
            }
        },
    )


def test_runs_that_fail_time_out_or_are_stopped_are_cleaned_up_and_notified(pipeline: Template) -> None:
    (rule,) = pipeline.find_resources(
        "AWS::Events::Rule", {"Properties": {"EventPattern": {"source": ["aws.states"]}}}
    ).values()

    assert rule["Properties"]["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    targets = [target["Arn"] for target in rule["Properties"]["Targets"]]
    assert [next(iter(arn.values()))[0][:6] for arn in targets if "Fn::GetAtt" in arn] == ["CleanU", "Notify"]
    assert [arn["Ref"][:13] for arn in targets if "Ref" in arn] == ["SecondCleanUp"]
    assert all("DeadLetterConfig" in target for target in rule["Properties"]["Targets"])


def test_functions_invoked_by_rules_have_a_dead_letter_queue(pipeline: Template) -> None:
    functions = pipeline.find_resources("AWS::Lambda::Function")
    invoked = {
        target["Arn"]["Fn::GetAtt"][0]
        for rule in pipeline.find_resources("AWS::Events::Rule").values()
        for target in rule["Properties"]["Targets"]
        if "Fn::GetAtt" in target["Arn"]
    }

    assert len(invoked) == 3
    assert all("DeadLetterConfig" in functions[name]["Properties"] for name in invoked)


def test_every_log_group_expires_after_30_days(pipeline: Template) -> None:
    groups = pipeline.find_resources("AWS::Logs::LogGroup").values()

    assert all(group["Properties"]["RetentionInDays"] == 30 for group in groups)
