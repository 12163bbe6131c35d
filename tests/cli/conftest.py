from __future__ import annotations

import pytest

from cli.report import REPORT_FILES
from distillation import keys
from distillation.evaluation.preferences import MARKER
from distillation.storage import Bucket
from tests.distillation.evaluation.test_preferences import compared_run
from tests.support.builders import any_report


@pytest.fixture
def judged_run() -> Bucket:
    """Return the Data bucket of a run with a report whose best model is n12."""
    run, data = compared_run()
    data.write_document(keys.request_key(run.name), run)
    for name in REPORT_FILES:
        data.write(keys.report_key(run.name, name), f"<p>{name}</p>{MARKER}".encode())
    data.write_document(keys.report_json_key(run.name), any_report(best="n12"))
    return data
