"""Retention: which models and deployments are kept, by ``keep``, ``keep_days`` and ``keep_on_failure_days``.

A model is kept if any run that its tags name keeps it: the run that trained it, or a later run that reuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from distillation import keys
from distillation.documents import Report
from distillation.errors import DistillationError, ServiceUnavailable
from distillation.records import Run
from distillation.run_documents import find_replaced_deployment, find_report, find_run
from distillation.serving.execution_state import ExecutionState
from distillation.serving.resources import BedrockResource, Kind
from distillation.storage import Bucket
from distillation.telemetry import logger

Rule = Callable[[BedrockResource], bool]
"""Whether a run keeps a deployment or a model."""


@dataclass(frozen=True)
class Retention:
    """Decisions for the resources of the runs in one Data bucket."""

    data: Bucket
    execution_state: Callable[[str], ExecutionState]
    """State of the execution with an ARN."""
    now: datetime
    known_states: Mapping[str, ExecutionState] = field(default_factory=dict)
    """States by execution ARN that are used instead of those that Step Functions returns."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why the request or the report of a run cannot be read, by run."""
    _rules: dict[str, Rule | None] = field(default_factory=dict)

    def keeps(self, resource: BedrockResource) -> bool:
        """Return whether a run keeps a resource, is still running, or cannot be read.

        A resource that names no run of the Data bucket is left alone too.
        """
        rules = [rule for run in resource.runs if (rule := self._rule(run))]
        return not rules or any(rule(resource) for rule in rules)

    def is_kept_by(self, run: str, resource: BedrockResource) -> bool:
        """Return whether a run of the Data bucket keeps a resource, is still running, or cannot be read."""
        rule = self._rule(run)
        return rule is not None and rule(resource)

    def state(self, execution: str) -> ExecutionState:
        """Return the state of the execution with an ARN."""
        return self.known_states.get(execution) or self.execution_state(execution)

    def _rule(self, name: str) -> Rule | None:
        """Return the rule of a run; None if the Data bucket has no run with this name."""
        if name not in self._rules:
            self._rules[name] = self._read_rule(name)
        return self._rules[name]

    def _read_rule(self, name: str) -> Rule | None:
        try:
            run = find_run(name, self.data)
            if run is None:
                return None
            state = self.state(run.execution)
            return _keep if state.is_running else rule_of_ended_run(run, self.data, self.now, state)
        except ServiceUnavailable:
            raise
        except (ValueError, DistillationError) as error:  # ValueError: also pydantic's ValidationError.
            logger.warning("run left alone: its request or report cannot be read", run=name, error=str(error))
            self.unreadable[name] = f"run {name} is left alone: {error}"
            return _keep


def rule_of_ended_run(run: Run, data: Bucket, now: datetime, state: ExecutionState) -> Rule:
    """Return the rule of a run that has ended.

    After a failure, a timeout or a stop, all models of the run are kept for ``keep_on_failure_days``, also with
    ``keep: none``: their training is paid for, and a later run reuses it. After a success, only a model whose
    deployment failed is kept this way.
    """
    report = find_report(run.name, data)
    kept = set() if is_expired(run, now) else _requested(run, report, data)
    models = report.models if isinstance(report, Report) else []
    evaluated = {model.model_name for model in models if model.status == "Active"}
    is_resumable = state.ended is not None and now < resumable_until(run, state.ended)

    def keeps(resource: BedrockResource) -> bool:
        is_resumable_model = is_resumable and resource.kind == "model"
        return resource.key in kept or (is_resumable_model and not (state.succeeded and resource.name in evaluated))

    return keeps


def resumable_until(run: Run, ended: datetime) -> datetime:
    """Return the time until which the models of a failed run are kept."""
    return ended + timedelta(days=run.request.keep_on_failure_days)


def is_expired(run: Run, now: datetime) -> bool:
    """Return whether ``keep_days`` have passed since the run was created."""
    days = run.request.keep_days
    return days is not None and now > datetime.fromisoformat(run.created) + timedelta(days=days)


def _keep(_: BedrockResource) -> bool:
    return True


def _requested(run: Run, report: object, data: Bucket) -> set[tuple[Kind, str]]:
    """Return kind and name of the models and deployments that ``keep`` retains; empty before the final report."""
    if run.request.keep == "none" or not isinstance(report, Report) or not report.is_final:
        return set()
    promoted = report.promoted.model_name if report.promoted else None
    deployments = {
        model.model_name: keys.deployment_name(run.name, model.size, model.model_name)
        for model in report.models
        if model.model_name and model.status == "Active"
    }
    trained = {model.model_name for model in report.models if model.model_name}
    models = trained if run.request.keep == "all" else {promoted} & trained
    served, names = models & set(deployments), set[str]()
    if replaced := find_replaced_deployment(run.name, data):
        # The replaced deployment serves the promoted model, so the model's own deployment is not needed.
        served, names = served - {promoted}, {replaced.deployment_name}
    names |= {deployments[model] for model in served if model}
    return {
        *(("model", name) for name in models if name),
        *(("deployment", name) for name in names),
    }
