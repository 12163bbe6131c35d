from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from benchmarks.soak import EVENTS_PER_STATE, History, MemoryPeaks, missed_bars, process_tree, write_photos
from distillation.photos.near_duplicates import MAXIMUM_DISTANCE
from distillation.photos.perceptual_hash import perceptual_hash

START = datetime(2026, 1, 1, tzinfo=UTC)


def history(*events: dict[str, Any], **description: str) -> History:
    """Return the history of an execution with these events, a second apart."""
    timed = [event | {"timestamp": START + timedelta(seconds=number)} for number, event in enumerate(events)]
    paginator = SimpleNamespace(paginate=lambda **_: [{"events": timed[:1]}, {"events": timed[1:]}])
    client = SimpleNamespace(get_paginator=lambda _: paginator)
    pipeline: Any = SimpleNamespace(describe=lambda _: description, aws=SimpleNamespace(client=lambda _: client))
    return History(pipeline, "arn")


def entered(name: str, **value: Any) -> dict[str, Any]:
    return {"stateEnteredEventDetails": {"name": name, "input": json.dumps(value)}}


def exited(name: str, **value: Any) -> dict[str, Any]:
    return {"stateExitedEventDetails": {"name": name, "output": json.dumps(value)}}


def test_photos_are_repeatable_and_no_near_duplicates(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    photos = write_photos(tmp_path, 60)
    again = write_photos(tmp_path / "again", 2)
    hashes = [int(perceptual_hash(Image.open(path).convert("L")), 16) for path in photos.values()]
    distances = [(first ^ second).bit_count() for first, second in itertools.combinations(hashes, 2)]

    assert [path.read_bytes() for path in again.values()] == [photos[name].read_bytes() for name in again]
    assert len(photos) == 60
    assert sum(distance <= MAXIMUM_DISTANCE for distance in distances) == 0


def test_largest_state_is_the_longest_input_or_output_in_bytes() -> None:
    states = [entered("Split", run="r"), exited("Split", run="r", note="x" * 500)]

    assert history(*states).largest_state_bytes() == len(json.dumps({"run": "r", "note": "x" * 500}))
    assert history(*states, output="é" * 600).largest_state_bytes() == 1200


def test_events_and_seconds_are_those_of_entered_states() -> None:
    run = history(entered("Wait"), exited("Wait"), entered("Wait"), exited("Wait"), {"type": "TaskScheduled"})

    assert run.events_at_most() == 2 * EVENTS_PER_STATE
    assert run.seconds_by_state() == {"Wait": 2.0}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({"status": "FAILED", "cause": "Split: x"}, "the run ended as FAILED: Split: x"),
        ({"largest_state_bytes": 32_001}, "largest_state_bytes is 32,001, more than 32,000"),
        ({"history_events": 2_501}, "history_events is 2,501, more than 2,500"),
    ],
)
def test_a_failed_run_and_each_missed_bar_is_a_problem(changed: dict[str, Any], problem: str | None) -> None:
    row = {"status": "SUCCEEDED", "cause": None, "largest_state_bytes": 32_000, "history_events": 2_500}

    assert missed_bars(row | changed) == ([problem] if problem else [])


def test_memory_is_that_of_the_process_and_its_descendants() -> None:
    with MemoryPeaks() as peaks:
        while not peaks.megabytes["process"]:
            time.sleep(0.05)

    assert 10 < peaks.megabytes["process"] < 10_000
    assert list(process_tree({2: 1, 3: 2, 4: 9, 5: 2}, 1)) == [1, 2, 3, 5]
