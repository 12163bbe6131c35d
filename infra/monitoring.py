"""Alarms and the dashboard of a stage.

docs/operations.md has a section per alarm, titled with its name: what it means, where to look, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.config import StageConfig
from infra.step_lambda import StepLambda

NAMESPACE = "VisionDistillation"
"""CloudWatch namespace of the steps' metrics; must equal ``NAMESPACE`` in distillation/telemetry.py."""
_LABELS = {
    "Labels": ("ImagesLabelled", "LabelsReused", "LabelsRefused", "CallsThrottled", "CallsFailed"),
    "Tokens of labels": ("InputTokens", "OutputTokens"),
}
_FIVE_MINUTES, _DAY = cdk.Duration.minutes(5), cdk.Duration.days(1)


class Monitoring(Construct):
    """Alarms that notify ``topic`` when they start and when they end, and a dashboard."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: StageConfig,
        dead_letters: sqs.IQueue,
        functions: Mapping[str, StepLambda],
        machine: sfn.StateMachine,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, id)
        self._config = config
        self._allow_alarms_to_publish(topic)
        stuck = self._step_metric("customize", "JobsStuck", _FIVE_MINUTES)
        oldest = self._step_metric("sweep", "OldestDeploymentDays", _DAY)
        unknown = self._step_metric("sweep", "UnknownResources", _DAY)
        drifted = self._step_metric("write_results", "PhotosDrifted", _FIVE_MINUTES)
        agreement = self._step_metric("write_results", "AuditAgreement", _FIVE_MINUTES)
        dead_letter_count = dead_letters.metric_approximate_number_of_messages_visible(
            period=_FIVE_MINUTES, statistic="Maximum"
        )
        failed = machine.metric_failed(period=_FIVE_MINUTES, statistic="Sum")
        timed_out = machine.metric_timed_out(period=_FIVE_MINUTES, statistic="Sum")
        alarms = {
            "RunFailed": (failed, 1, "A run has failed."),
            "RunTimedOut": (timed_out, 1, "A run took longer than the state machine allows."),
            "JobStuck": (stuck, 1, "A customization job has not started training."),
            "DeadLetters": (
                dead_letter_count,
                1,
                "An event was not delivered, or the function that it invokes failed three times.",
            ),
            "OldDeployment": (
                oldest,
                config.old_deployment_days,
                "A tuned model has been deployed for longer than the stage's old_deployment_days.",
            ),
            "UnknownResources": (
                unknown,
                1,
                "The stage has tuned models or deployments that belong to no run in its Data bucket.",
            ),
            "PhotosDrifted": (
                drifted,
                1,
                "A tuned model agrees less with the teacher on an applied collection than in its evaluation.",
            ),
        }
        for name, (metric, threshold, meaning) in alarms.items():
            alarm = self._alarm(name, metric, threshold, meaning)
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))
        self._dashboard(machine, functions, [stuck, oldest, unknown, dead_letter_count, drifted, agreement])

    def _alarm(self, name: str, metric: cloudwatch.IMetric, threshold: float, meaning: str) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            name,
            alarm_description=f"{meaning} What to do: docs/operations.md, {name}.",
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            metric=metric,
            threshold=threshold,
            # Sweep emits its metrics once a day, WriteResults once in a run; in between the alarm keeps its state.
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE
            if name in ("OldDeployment", "PhotosDrifted", "UnknownResources")
            else cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _step_metric(self, service: str, name: str, period: cdk.Duration) -> cloudwatch.Metric:
        dimensions = {"service": service, "stage": self._config.stage}
        return cloudwatch.Metric(
            dimensions_map=dimensions, metric_name=name, namespace=NAMESPACE, period=period, statistic="Maximum"
        )

    def _step_sums(self, service: str, names: Sequence[str]) -> list[cloudwatch.Metric]:
        return [self._step_metric(service, name, _FIVE_MINUTES).with_(statistic="Sum") for name in names]

    def _dashboard(
        self,
        machine: sfn.StateMachine,
        functions: Mapping[str, StepLambda],
        single_values: Sequence[cloudwatch.IMetric],
    ) -> None:
        runs = [
            *(machine.metric_started(statistic="Sum"), machine.metric_succeeded(statistic="Sum")),
            *(machine.metric_failed(statistic="Sum"), machine.metric_timed_out(statistic="Sum")),
            machine.metric_aborted(statistic="Sum"),
        ]
        photos = self._step_sums("resize", ("PhotosResized", "PhotosRefused"))
        errors = [function.metric_errors(label=name) for name, function in functions.items()]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=cdk.Duration.days(7))
        dashboard.add_widgets(_graph("Runs", runs), _graph("Photos", photos))
        dashboard.add_widgets(*(_graph(title, self._step_sums("label", names)) for title, names in _LABELS.items()))
        dashboard.add_widgets(
            _graph("Errors of steps", errors), _graph("Teachers and students", self._bedrock_metrics())
        )
        dashboard.add_widgets(*(_single_value(metric) for metric in single_values))

    def _bedrock_metrics(self) -> list[cloudwatch.IMetric]:
        """Return the invocations and throttles of each model, which Bedrock counts per account."""
        return [
            cloudwatch.Metric(
                dimensions_map={"ModelId": model}, metric_name=name, namespace="AWS/Bedrock", statistic="Sum"
            )
            for model in [*self._config.teachers, *self._config.students]
            for name in ("Invocations", "InvocationThrottles")
        ]

    def _allow_alarms_to_publish(self, topic: sns.Topic) -> None:
        """Allow CloudWatch to publish, because the topic's TLS policy replaces SNS's default policy."""
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
            )
        )


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(left=list(metrics), title=title, width=12)


def _single_value(metric: cloudwatch.IMetric) -> cloudwatch.SingleValueWidget:
    return cloudwatch.SingleValueWidget(metrics=[metric], width=6)
