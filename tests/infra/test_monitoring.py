from __future__ import annotations

from pathlib import Path

from aws_cdk.assertions import Template

from distillation import telemetry

ROOT = Path(__file__).parents[2]


def test_every_alarm_notifies_the_topic_and_has_a_section_in_the_runbook(pipeline: Template) -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    alarms = pipeline.find_resources("AWS::CloudWatch::Alarm")
    (topic,) = pipeline.find_resources("AWS::SNS::Topic")

    assert len(alarms) == 7
    for name, alarm in alarms.items():
        title = name.removeprefix("Monitoring")[:-8]
        assert f"### {title}\n" in runbook
        assert alarm["Properties"]["AlarmDescription"].endswith(f"docs/operations.md, {title}.")
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [{"Ref": topic}]


def test_alarms_watch_metrics_that_steps_emit(pipeline: Template) -> None:
    ours = [
        alarm["Properties"]
        for alarm in pipeline.find_resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == telemetry.NAMESPACE
    ]

    assert {alarm["MetricName"] for alarm in ours} == {
        *("JobsStuck", "OldestDeploymentDays", "PhotosDrifted", "UnknownResources")
    }
    for alarm in ours:
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        assert (ROOT / "lambdas" / f"{dimensions['service']}.py").exists()
        sources = [*(ROOT / "lambdas").glob("*.py"), *(ROOT / "distillation").rglob("*.py")]
        text = "".join(path.read_text() for path in sources)
        assert f'"{alarm["MetricName"]}"' in text
        assert dimensions["stage"] == "dev"


def test_alarm_about_drift_keeps_its_state_until_the_next_audit(pipeline: Template) -> None:
    (alarm,) = [
        alarm["Properties"]
        for alarm in pipeline.find_resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == "PhotosDrifted"
    ]

    assert (alarm["TreatMissingData"], alarm["Statistic"], alarm["Threshold"]) == ("ignore", "Maximum", 1)


def test_alarms_may_publish_to_the_topic(pipeline: Template) -> None:
    (policy,) = pipeline.find_resources("AWS::SNS::TopicPolicy").values()
    allowed = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]

    assert [s["Principal"] for s in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
