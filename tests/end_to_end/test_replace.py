"""A promoted model replaces that of an earlier run, so that callers of its deployment keep their ARN."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from local import ROOT
from tests.end_to_end.conftest import PipelineDriver

Start = Callable[..., AbstractContextManager[PipelineDriver]]
ALL_PHOTOS = {path.name: path for path in sorted((ROOT / "samples" / "photos").glob("*.jpg"))}
"""Enough photos for a gain that the gate finds significant."""


def test_promoted_model_takes_over_the_deployment_of_an_earlier_run(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(ALL_PHOTOS)
        service, runs, models, answers = running.pipeline.bedrock.service, list[str](), list[str](), list[str]()
        photo = next(iter(ALL_PHOTOS.values()))
        for size in (16, 20):
            replaced = {"replace": runs[0]} if runs else {}
            ended = running.run(train_sizes=[size], test_share=0.5, **replaced)
            assert ended.status == "SUCCEEDED", ended.cause
            assert (running.report()["evaluation"] or {})["gate"]["promoted"], running.report()["verdict"]
            runs.append(ended.output["run"])
            (deployment,) = service.deployments.values()
            models.append(deployment["modelArn"])
            answers.append(running.ask(deployment["customModelDeploymentArn"], photo))

        # Callers keep the ARN and get the answers of the new model; the deployment that tested it is gone.
        arn = deployment["customModelDeploymentArn"]
        assert ended.output["promotion"]["deployment_arn"] == arn
        assert deployment["modelDeploymentName"].startswith(runs[0])
        assert [service.custom_models[model]["modelName"].rpartition("-n")[0] for model in models] == runs
        assert answers[0] != answers[1]
        assert {"key": "vision-distillation:run", "value": runs[1]} in service.tags[arn]
        # Each run retains the model that it promoted.
        assert set(service.custom_models) == set(models)
        assert running.sweep()["deleted"] == []

        running.upload(dict(list(ALL_PHOTOS.items())[:4]), "new/")
        applied = [running.wait(running.start_from_console(collection="new/", apply=run)) for run in runs]

        assert [(ended.status, ended.error) for ended in applied] == [("FAILED", "InvalidRequest"), ("SUCCEEDED", None)]
        assert "was replaced" in (applied[0].cause or "")
