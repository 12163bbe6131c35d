from __future__ import annotations

import pytest

from distillation import keys, telemetry
from distillation.records import TrainedModel
from distillation.runs.list_images import list_images
from tests.support.apply_run import answer_line, resized_photos
from tests.support.builders import any_report
from tests.support.fakes import bucket
from tests.support.lambda_functions import Functions
from tests.support.metrics import metric_totals

MODEL = TrainedModel(size=45, status="Active", model_name="m", deployment_arn="arn:d")


@pytest.mark.parametrize(
    ("share", "labels", "expected"),
    [
        (0.02, "cat, sofa", {"ImagesAudited": 20, "AuditAgreement": 1.0, "PhotosDrifted": 0}),
        (0.02, "dog, lamp", {"ImagesAudited": 20, "AuditAgreement": 0.0, "PhotosDrifted": 1}),
        (0, "dog, lamp", {"ImagesAudited": 0}),
    ],
)
def test_audit_is_a_metric(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    share: float,
    labels: str,
    expected: dict[str, float],
) -> None:
    telemetry.metrics.clear_metrics()
    images = [f"{number:02}" for number in range(20)]
    run, data = resized_photos(*({"photo": f"holiday/{n}.jpg", "image": n} for n in images), audit_share=share)
    list_images(run, data, bucket())
    lines = [answer_line(image, "cat, sofa") for image in images]
    lines += [answer_line(image, labels, answerer="audit") for image in images]
    data.write_lines(keys.part_key(run.name, "predict", "b"), lines)
    data.write_document(keys.request_key(run.name), run.model_copy(update={"applies": MODEL}))
    data.write_document(keys.report_json_key("tuned-1"), any_report(models=[MODEL], promoted="m"))
    functions = Functions(monkeypatch)
    for key in data.keys(""):
        functions.data.write(key, data.read(key))
    result = functions.invoke("write_results", {"run": run.name})

    assert "answered about 20 of 20 photos." in result["verdict"]
    assert metric_totals(capsys.readouterr().out) == expected
