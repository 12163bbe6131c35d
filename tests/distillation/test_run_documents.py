from __future__ import annotations

import pytest

from distillation import keys
from distillation.documents import ReplacedDeployment
from distillation.errors import ObjectDamaged, ObjectMissing
from distillation.run_documents import find_replaced_deployment, find_report, find_run, read_report
from tests.support.builders import any_report, any_run
from tests.support.fakes import bucket


def test_documents_of_a_run_are_read_as_models() -> None:
    replaced = ReplacedDeployment(deployment_name="d", deployment_arn="arn:d", model_arn="arn:m", replaces="old-1")
    data = bucket()
    data.write_document(keys.request_key("holiday-1"), any_run())
    data.write_document(keys.report_json_key("holiday-1"), any_report())
    data.write_document(keys.deployment_key("holiday-1"), replaced)

    assert find_run("holiday-1", data) == any_run()
    assert find_report("holiday-1", data) == read_report("holiday-1", data) == any_report()
    assert find_replaced_deployment("holiday-1", data) == replaced


def test_absent_document_is_none_or_raises() -> None:
    data = bucket()

    assert find_run("r", data) is find_report("r", data) is find_replaced_deployment("r", data) is None
    with pytest.raises(ObjectMissing):
        read_report("r", data)


def test_malformed_document_raises() -> None:
    data = bucket(**{keys.request_key("r"): b"{}", keys.report_json_key("r"): b"{}"})

    with pytest.raises(ObjectDamaged, match=keys.request_key("r")):
        find_run("r", data)
    for read in (read_report, find_report):
        with pytest.raises(ObjectDamaged, match=keys.report_json_key("r")):
            read("r", data)
