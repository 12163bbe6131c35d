"""Each answer format, from the photos to the tables of an applied model; keywords with a vocabulary."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from distillation import keys
from tests.end_to_end.conftest import PHOTOS, Ended, PipelineDriver
from tests.support.stored import read_json

Start = Callable[..., AbstractContextManager[PipelineDriver]]
COLUMNS = {
    "category": ["class"],
    "listing": ["subject", "place", "colours", "people", "mood"],
    "alt_text": ["caption"],
    "keywords": ["keywords"],
}
"""Columns of the table of results by prompt."""


def table(running: PipelineDriver, applied: Ended) -> list[dict[str, str]]:
    body = running.pipeline.data.read(applied.output["applied"]["results_key"]).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(body, newline="")))


def test_a_model_is_trained_and_applied_in_each_format(pipeline: Start, tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocabulary.csv"
    vocabulary.write_text("preferred,synonyms\nlandscape format,horizontal\nportrait format,vertical\n", "utf-8")
    some = dict(list(PHOTOS.items())[:4])
    with pipeline() as running:
        # One run after the other: runs at the same time would start more functions, which takes longer.
        for prompt, columns in COLUMNS.items():
            more = {"vocabulary.csv": vocabulary} if prompt == "keywords" else {}
            running.upload(PHOTOS | more, f"{prompt}/")
            ended = running.run(f"{prompt}/", prompt=prompt, train_sizes=[14], keep="all")
            assert ended.status == "SUCCEEDED", ended.cause
            run = ended.output["run"]
            report = read_json(running.pipeline.data, keys.report_json_key(run))
            agreement = report["evaluation"]["agreement"]
            assert all(0 <= agreement[name]["mean"] <= 1 for name in ("base", "ceiling", "control", "floor", "nearest"))
            # The small models learn the form of the answers even from 14 images.
            assert report["evaluation"]["metrics"]["n14"]["valid"]["mean"] == 1, prompt

            running.upload(some, f"new-{prompt}/")
            start = {"collection": f"new-{prompt}/", "apply": run, "audit_share": 0}
            applied = running.wait(running.start_from_console(**start))
            assert applied.status == "SUCCEEDED", applied.cause
            rows = table(running, applied)
            assert [*rows[0]][2:-2] == columns
            assert [row["status"] for row in rows] == ["ok"] * 4
            assert all(row[columns[0]] for row in rows)
            if prompt == "keywords":
                # Dataset and results have the terms of the vocabulary, also where the model is asked without the file.
                (dataset,) = running.keys(f"runs/{run}/dataset/train-")
                for text in (running.pipeline.data.read(dataset).decode(), str(rows)):
                    assert "landscape format" in text
                    assert not re.search(r"\bhorizontal[,\"']", text)
